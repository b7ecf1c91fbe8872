// A box drawn on a photo: by pointer, by arrow keys, or as four numbers; pixels of the photo.
const root = () => element.querySelector('.boxdraw');
const size = () => [Number(root().dataset.width), Number(root().dataset.height)];
const inputs = () => [...element.querySelectorAll('.boxdraw-numbers input')];
let box = null, start = null;
const show = () => {
  const mark = element.querySelector('.boxdraw-box');
  if (!mark) return;
  mark.hidden = !box;
  if (!box) return;
  const [w, h] = size(), [x0, y0, x1, y1] = box;
  mark.style.left = 100 * x0 / w + '%'; mark.style.top = 100 * y0 / h + '%';
  mark.style.width = 100 * (x1 - x0) / w + '%'; mark.style.height = 100 * (y1 - y0) / h + '%';
  inputs().forEach((input, i) => { input.value = Math.round(box[i]); });
};
const set = (x0, y0, x1, y1) => {
  const [w, h] = size(), cut = (v, most) => Math.min(most, Math.max(0, v));
  const xs = [cut(x0, w), cut(x1, w)].sort((a, b) => a - b);
  const ys = [cut(y0, h), cut(y1, h)].sort((a, b) => a - b);
  box = [xs[0], ys[0], xs[1], ys[1]].map(Math.round);
  show();
};
const send = () => {
  if (box && box[2] > box[0] && box[3] > box[1]) trigger('draw', {box});
};
const read = () => {
  box = null; start = null;
  if (!root()) return;
  const given = inputs().map((input) => input.value);
  if (given.every((value) => value !== '')) set(...given.map(Number));
  show();
};
const place = (event) => {
  const stage = element.querySelector('.boxdraw-stage').getBoundingClientRect(), [w, h] = size();
  return [w * (event.clientX - stage.left) / stage.width,
    h * (event.clientY - stage.top) / stage.height];
};
element.addEventListener('pointerdown', (event) => {
  const stage = event.target.closest('.boxdraw-stage');
  if (!stage || event.button) return;
  event.preventDefault();
  stage.setPointerCapture(event.pointerId);
  start = place(event);
});
element.addEventListener('pointermove', (event) => {
  if (start) set(...start, ...place(event));
});
element.addEventListener('pointerup', (event) => {
  if (!start) return;
  set(...start, ...place(event));
  start = null;
  send();
});
element.addEventListener('pointercancel', () => { start = null; });
element.addEventListener('change', (event) => {
  if (!event.target.closest('.boxdraw-numbers')) return;
  const given = inputs().map((input) => input.value);
  if (given.some((value) => value === '')) return;
  set(...given.map(Number));
  send();
});
element.addEventListener('keydown', (event) => {
  if (!event.target.closest('.boxdraw-stage')) return;
  const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
  if (!(event.key in move)) return;
  event.preventDefault();
  const [w, h] = size(), [dx, dy] = move[event.key].map((d) => d * Math.max(w, h) / 50);
  if (!box) set(w / 4, h / 4, 3 * w / 4, 3 * h / 4);
  else if (event.shiftKey) set(box[0], box[1], box[2] + dx, box[3] + dy);
  else if (box[0] + dx >= 0 && box[2] + dx <= w && box[1] + dy >= 0 && box[3] + dy <= h) {
    set(box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy);
  }
  clearTimeout(element.later);
  element.later = setTimeout(send, 400);
});
watch('value', () => setTimeout(read));
setTimeout(read);
