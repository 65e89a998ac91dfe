import { recall, remember } from './storage.js';

const KEY = 'theme';
const root = document.documentElement;
const changes = new EventTarget();

/** Calls `listener` when colours have changed, by the person or by the system. */
export function onTheme(listener) {
  changes.addEventListener('change', listener);
}

function apply(theme) {
  if (theme === 'auto') delete root.dataset.theme;
  else root.dataset.theme = theme;
  changes.dispatchEvent(new Event('change'));
}

const select = document.getElementById('theme');
select.value = recall(KEY) ?? 'auto';
if (select.value === '') select.value = 'auto';
apply(select.value);
select.addEventListener('change', () => {
  remember(KEY, select.value);
  apply(select.value);
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => changes.dispatchEvent(new Event('change')));
