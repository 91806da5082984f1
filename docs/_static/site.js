// Those who speak to the page say the words that a button shows, and a label must hold them; the small arrows of the
// contents show none, and get some.
for (const e of document.querySelectorAll('.search-button-field'))
  e.setAttribute('aria-label', e.textContent.trim().replace(/\s+/g, ' ') || 'Search');
for (const e of document.querySelectorAll('details.hide > summary')) e.removeAttribute('aria-label');
for (const e of document.querySelectorAll('li.has-children > details > summary'))
  e.setAttribute('aria-label', `Chapters of ${e.closest('li').querySelector('a').textContent.trim()}`);
