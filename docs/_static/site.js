// A label that hides the words a button shows is no help to those who speak to the page: the words are its name.
for (const e of document.querySelectorAll('.search-button-field, details.hide > summary')) e.removeAttribute('aria-label');
