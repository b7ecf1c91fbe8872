// A figure's own button: the page's saver takes the one `.figure-panel` that is in view.
element.addEventListener('click', (event) => {
  const button = event.target.closest('button.save-figure');
  if (!button) return;
  for (const section of element.querySelectorAll('section')) {
    section.classList.toggle('figure-panel', section === button.closest('section'));
  }
  document.querySelector('#batch-figure-png').click();
});
