/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/**
 * Makes an element. Texts become text nodes, never markup.
 * @param props properties; `class`, `role`, `data-…`, `aria-…` and others with a dash become attributes
 */
export function make(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === 'class' || name === 'role' || name === 'scope' || name.includes('-'))
      element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Changes a text only if it differs: else a screen reader, a selection and the layout would be disturbed for nothing. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The same of an attribute. */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A list of elements that follows a list of items: an element stays the same as long as its item has the same key. */
export class Keyed {
  #parent;
  #make;
  #head;
  #elements = new Map();

  /**
   * @param make makes `{ element, update(item) }` for an item
   * @param head the element of the parent that stands before the list. Default: none
   */
  constructor(parent, make, head = null) {
    this.#parent = parent;
    this.#make = make;
    this.#head = head;
  }

  /** @param items of which `keyOf(item)` differs. */
  show(items, keyOf) {
    const keys = new Set(items.map(keyOf));
    for (const [key, { element }] of this.#elements) {
      if (keys.has(key)) continue;
      element.remove();
      this.#elements.delete(key);
    }
    let previous = this.#head;
    for (const item of items) {
      const row = this.#of(keyOf(item), item);
      row.update(item);
      // Moves only what is not in its place: an element that is moved loses the focus.
      const place = previous === null ? this.#parent.firstElementChild : previous.nextElementSibling;
      if (row.element !== place) this.#parent.insertBefore(row.element, place);
      previous = row.element;
    }
  }

  #of(key, item) {
    const found = this.#elements.get(key) ?? this.#make(item);
    this.#elements.set(key, found);
    return found;
  }
}

/** Options of a `<select>`, as `[value, text]`. What was chosen stays chosen; false when it is gone. */
export function setOptions(select, options) {
  const key = JSON.stringify(options);
  if (select.dataset.options === key) return true;
  select.dataset.options = key;
  const { value } = select;
  select.replaceChildren(...options.map(([option, text]) => make('option', { value: option }, text)));
  const isThere = options.some(([option]) => option === value);
  if (isThere) select.value = value;
  return isThere;
}
