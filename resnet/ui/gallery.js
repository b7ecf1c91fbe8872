// A click brings a photo back, to the tab that is chosen beside the strip, or puts it into A or B of
// Compare; the strip stays folded, if it was, when another photo comes in.
const kept = element.closest('#gallery') ?? element; // outlives each drawing
const fold = () => {
  const button = element.querySelector('.gallery-toggle');
  if (button) button.setAttribute('aria-expanded', String(!element.classList.contains('folded')));
};
element.addEventListener('click', (event) => {
  const photo = event.target.closest('button[data-key]');
  const slot = event.target.closest('button[data-slot]');
  if (slot) {
    kept.dataset.once = 'Compare';
    trigger(slot.dataset.slot === 'A' ? 'pick' : 'beside', {key: slot.dataset.of});
  } else if (photo) trigger('pick', {key: photo.dataset.key});
  else if (event.target.closest('.gallery-toggle')) { element.classList.toggle('folded'); fold(); }
});
element.addEventListener('change', (event) => {
  if (event.target.matches('.gallery-to select')) kept.dataset.to = event.target.value;
});
const again = () => {  // a new drawing keeps what was chosen
  const to = element.querySelector('.gallery-to select');
  if (to) to.value = kept.dataset.to || '';
  fold();
};
watch('value', () => setTimeout(again));
