// A click brings a photo back; the strip stays folded, if it was, when another photo comes in.
const fold = () => {
  const button = element.querySelector('.gallery-toggle');
  if (button) button.setAttribute('aria-expanded', String(!element.classList.contains('folded')));
};
element.addEventListener('click', (event) => {
  const photo = event.target.closest('button[data-key]');
  if (photo) trigger('pick', {key: photo.dataset.key});
  else if (event.target.closest('.gallery-toggle')) { element.classList.toggle('folded'); fold(); }
});
watch('value', () => setTimeout(fold));
