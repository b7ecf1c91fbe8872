// Hovering a row lights its box and the other way round; a click or Enter chooses; heads sort.
const index = (target) => {
  const found = target.closest('.choose .box[data-index], .things tr[data-index]');
  return found ? Number(found.dataset.index) : null;
};
const light = (wanted) => {
  for (const part of element.querySelectorAll('.choose .box, .things tr[data-index]')) {
    part.classList.toggle('pointed', wanted !== null && Number(part.dataset.index) === wanted);
  }
};
element.addEventListener('pointerover', (event) => light(index(event.target)));
element.addEventListener('pointerleave', () => light(null));
element.addEventListener('focusin', (event) => light(index(event.target)));
element.addEventListener('focusout', () => light(null));
const choose = (event) => {
  const found = index(event.target);
  if (found !== null) { event.preventDefault(); trigger('choose', {index: found}); }
};
const sort = (button) => {
  const head = button.closest('th');
  const column = [...head.parentElement.children].indexOf(head);
  const rising = head.getAttribute('aria-sort') !== 'ascending';
  for (const other of head.parentElement.children) other.setAttribute('aria-sort', 'none');
  head.setAttribute('aria-sort', rising ? 'ascending' : 'descending');
  const body = head.closest('table').tBodies[0];
  const key = (row) => row.cells[column].dataset.value;
  const order = (a, b) => (isNaN(key(a)) ? key(a).localeCompare(key(b)) : key(a) - key(b));
  const rows = [...body.rows].sort((a, b) => (rising ? order(a, b) : order(b, a)));
  body.append(...rows);
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('.things th button');
  if (button) sort(button); else choose(event);
});
element.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' || event.key === ' ') {
    if (!event.target.closest('.things th')) choose(event);
  }
});
