// The divider between A and B, the switch slider / side by side, the opacity of both heat maps:
// all the browser's own affair.  What the visitor has set outlives a new pair of pictures.
const figure = () => element.querySelector('.ab');
const clamp = (value) => Math.min(100, Math.max(0, value));
const part = (at) => {
  element.dataset.at = at;
  const stage = element.querySelector('.ab-stage'), handle = element.querySelector('.ab-handle');
  if (!stage) return;
  stage.style.setProperty('--at', at + '%');
  handle.setAttribute('aria-valuenow', Math.round(at));
  handle.setAttribute('aria-valuetext', `A on the left ${Math.round(at)} %, B on the right`);
};
const mode = (name) => {
  element.dataset.mode = name;
  if (!figure()) return;
  figure().dataset.mode = name;
  for (const button of element.querySelectorAll('.ab-modes button')) {
    button.setAttribute('aria-pressed', String(button.dataset.mode === name));
  }
};
const fade = (value) => {
  element.dataset.opacity = value;
  element.style.setProperty('--heat-opacity', value / 100);
};
const restore = () => {
  part(Number(element.dataset.at ?? 50));
  mode(element.dataset.mode || 'slider');
  const slider = element.querySelector('.ab-tools input[type=range]');
  if (slider) { slider.value = element.dataset.opacity ?? slider.value; fade(slider.value); }
};
let dragging = false;
const follow = (event) => {
  const box = element.querySelector('.ab-stage').getBoundingClientRect();
  part(clamp(100 * (event.clientX - box.left) / box.width));
};
element.addEventListener('pointerdown', (event) => {
  const stage = event.target.closest('.ab-stage');
  if (!stage || figure().dataset.mode !== 'slider' || event.button) return;
  dragging = true;
  stage.setPointerCapture(event.pointerId);
  follow(event);
});
element.addEventListener('pointermove', (event) => { if (dragging) follow(event); });
for (const end of ['pointerup', 'pointercancel']) {
  element.addEventListener(end, () => { dragging = false; });
}
element.addEventListener('keydown', (event) => {
  if (!event.target.closest('.ab-handle')) return;
  const at = Number(element.dataset.at ?? 50), step = event.shiftKey ? 10 : 2;
  const to = {ArrowLeft: at - step, ArrowDown: at - step, ArrowRight: at + step,
    ArrowUp: at + step, Home: 0, End: 100}[event.key];
  if (to === undefined) return;
  event.preventDefault();
  part(clamp(to));
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('.ab-modes button');
  if (button) mode(button.dataset.mode);
});
element.addEventListener('input', (event) => {
  if (event.target.matches('.ab-tools input[type=range]')) fade(event.target.value);
});
watch('value', () => setTimeout(restore));
