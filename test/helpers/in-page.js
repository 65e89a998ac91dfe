// What tests run in a page. Plain JavaScript: the project has no types of the DOM.

/** The texts that are hard to read, by the contrast that WCAG 2.2 asks for (AA: 4.5; large letters 3). */
export function hardToRead() {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const luminance = (color) => {
    const [r, g, b] = color.map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = rgba(getComputedStyle(one).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const contrastOf = (element) => {
    const [a, b] = [luminance(rgba(getComputedStyle(element).color)), luminance(behind(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const hasText = ({ nodeType, textContent }) => nodeType === Node.TEXT_NODE && textContent.trim() !== '';
  return [...document.querySelectorAll('body *')]
    .filter((element) => element.checkVisibility() && !element.matches(':disabled, option, noscript'))
    .filter((element) => [...element.childNodes].some(hasText))
    .map((element) => ({
      element,
      contrast: contrastOf(element),
      size: Number.parseFloat(getComputedStyle(element).fontSize),
    }))
    .filter(({ contrast, size }) => contrast < (size >= 24 ? 3 : 4.5))
    .map(({ element, contrast }) => `${element.textContent.slice(0, 40)}: ${contrast.toFixed(1)}`);
}

/** Controls that a screen reader could not name. */
export function nameless() {
  const namesOf = (element) => [
    element.getAttribute('aria-label'),
    document.getElementById(element.getAttribute('aria-labelledby') ?? '')?.textContent,
    ...[...(element.labels ?? [])].map(({ textContent }) => textContent),
    ...(element.matches('button') ? [element.textContent] : []),
  ];
  return [...document.querySelectorAll('button, select, input, [role=img], [tabindex="0"]')]
    .filter((element) => element.checkVisibility() && !namesOf(element).some((name) => name?.trim()))
    .map(({ outerHTML }) => outerHTML.slice(0, 80));
}

/** Texts of buttons that are too small for a finger. */
export function smallButtons() {
  return [...document.querySelectorAll('button')]
    .filter((button) => button.checkVisibility() && button.getBoundingClientRect().height < 40)
    .map(({ textContent }) => textContent);
}

/** The name of what has the focus. */
export function focusedName() {
  const { activeElement } = document;
  return activeElement.getAttribute('aria-label') || activeElement.id || activeElement.textContent;
}

/** Counts how often an element loses the focus. */
export function countBlurs(element) {
  window.blurs = 0;
  element.addEventListener('blur', () => {
    window.blurs += 1;
  });
}

export const blurs = () => window.blurs;
export const background = () => getComputedStyle(document.body).backgroundColor;
export const pageWidth = () => document.documentElement.scrollWidth;
export const isValid = (input) => input.validity.valid;
export const isDrawn = (canvas) =>
  canvas
    .getContext('2d')
    .getImageData(0, 0, canvas.width, canvas.height)
    .data.some((value) => value !== 0);

/** Elements, and how many of them are lines of the log. */
export const sizes = () => ({
  elements: document.querySelectorAll('*').length,
  lines: document.querySelectorAll('#log li').length,
});
