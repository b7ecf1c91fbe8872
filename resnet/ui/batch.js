// Heads sort, in place if all rows are here; a click or Enter on a row chooses it; pages turn.
const table = () => element.querySelector('table.batch');
const sort = (button) => {
  const head = button.closest('th');
  const rising = head.getAttribute('aria-sort') !== 'ascending';
  if (Number(table().dataset.pages) > 1) {  // the first of all rows may be on another page
    trigger('order', {key: head.dataset.key, rising, here: false});
    return;
  }
  const column = [...head.parentElement.children].indexOf(head);
  for (const other of head.parentElement.children) other.setAttribute('aria-sort', 'none');
  head.setAttribute('aria-sort', rising ? 'ascending' : 'descending');
  const key = (row) => row.cells[column].dataset.value;
  const order = (a, b) => (isNaN(key(a)) || isNaN(key(b))
    ? key(a).localeCompare(key(b)) : key(a) - key(b));
  const rows = [...table().tBodies[0].rows];
  const known = rows.filter((row) => key(row) !== '');  // what has no value stays last
  const unknown = rows.filter((row) => key(row) === '');
  known.sort((a, b) => (rising ? order(a, b) : order(b, a)));
  table().tBodies[0].append(...known, ...unknown);
  trigger('order', {key: head.dataset.key, rising, here: true});  // for the next page or filter
};
const choose = (event) => {
  const row = event.target.closest('table.batch tr[data-index]');
  if (!row) return;
  event.preventDefault();
  for (const other of row.parentElement.children) other.removeAttribute('aria-selected');
  row.setAttribute('aria-selected', 'true');
  trigger('choose', {index: Number(row.dataset.index)});
};
element.addEventListener('click', (event) => {
  const head = event.target.closest('table.batch th button');
  const turn = event.target.closest('.batch-pager button[data-page]');
  if (head) sort(head);
  else if (turn) trigger('turn', {page: Number(turn.dataset.page)});
  else choose(event);
});
element.addEventListener('keydown', (event) => {
  if ((event.key === 'Enter' || event.key === ' ') && event.target.matches('tr[data-index]')) {
    choose(event);
  }
});
