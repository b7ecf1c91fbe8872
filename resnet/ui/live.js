// One frame is on its way at a time: the next is taken when the answer is there, so the newest wins.
const WIDE = 640, HIGH = 480, PATIENCE = 15000, PAUSE = 40;
const find = (name) => element.querySelector(name);
const video = find('video'), go = find('.live-go'), rate = find('.live-rate');
const canvas = Object.assign(document.createElement('canvas'), {width: WIDE, height: HIGH});
let stream = null, number = 0, shown = 0, sent = 0, timer = 0, seconds = 0, last = 0;

const say = (text) => { rate.textContent = text; };
const base64 = (blob) => new Promise((done) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result.split(',')[1]);
  reader.readAsDataURL(blob);
});
async function send() {
  if (!stream) return;
  if (document.hidden || !element.offsetParent) { timer = setTimeout(send, 500); return; }
  canvas.getContext('2d').drawImage(video, 0, 0, WIDE, HIGH);
  const blob = await new Promise((done) => canvas.toBlob(done, 'image/jpeg', 0.8));
  const image = await base64(blob);
  if (!stream) return;
  number += 1; sent = performance.now();
  trigger('frame', {number, image, mode: find('.live-mode').value});
  timer = setTimeout(send, PATIENCE); // the answer was lost
}
function answered() {
  const answer = document.querySelector('#live-answer [data-number]');
  if (!stream || !answer || Number(answer.dataset.number) !== number || shown === number) return;
  shown = number;
  clearTimeout(timer);
  const now = performance.now();
  find('.live-over').innerHTML = answer.querySelector('template').innerHTML;
  if (last) seconds = seconds ? 0.8 * seconds + 0.2 * (now - last) : now - last;
  last = now;
  const each = seconds ? `${(1000 / seconds).toFixed(1)} frames a second · ` : '';
  say(`${each}${Math.round(now - sent)} ms`);
  timer = setTimeout(send, PAUSE);
}
async function start() {
  try {
    stream = await navigator.mediaDevices.getUserMedia(
      {video: {width: {ideal: WIDE}, height: {ideal: HIGH}}, audio: false});
  } catch (error) {
    say('The browser gives no camera to this page: it was refused, or there is none.');
    return;
  }
  video.srcObject = stream;
  await video.play();
  find('.live-stage').hidden = false;
  go.textContent = 'Stop the camera'; go.setAttribute('aria-pressed', 'true');
  last = seconds = 0;
  say('');
  send();
}
function stop() {
  clearTimeout(timer);
  stream.getTracks().forEach((track) => track.stop());
  stream = null;
  find('.live-over').innerHTML = '';
  find('.live-stage').hidden = true;
  go.textContent = 'Start the camera'; go.setAttribute('aria-pressed', 'false');
  say('');
}
go.addEventListener('click', () => (stream ? stop() : start()));
new MutationObserver(answered).observe(
  document.querySelector('#live-answer') ?? element, {childList: true, subtree: true});
if (!document.querySelector('#live-answer')) {  // it is drawn a moment later
  const wait = setInterval(() => {
    const answer = document.querySelector('#live-answer');
    if (!answer) return;
    clearInterval(wait);
    new MutationObserver(answered).observe(answer, {childList: true, subtree: true});
  }, 200);
}
