import { byId, make, setText } from './dom.js';
import { recall, remember } from './storage.js';

const KEY = 'name';

/** Asks before something is done. One at a time. */
export class Dialog {
  #dialog = byId('dialog');
  #do = byId('dialog-do');
  #run;

  constructor() {
    byId('by').value = recall(KEY) ?? '';
    byId('dialog-cancel').addEventListener('click', () => this.#dialog.close());
    byId('dialog-form').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#submit();
    });
  }

  /**
   * @param question `title`, `text`, `button`; `asksWait`: what to do with leases; `asksCascade`: whether dependents are meant,
   *   too; `asksName`: who does it; `plan`: lines of what will happen; `run({ timeout, cascade, by })`: does it
   */
  ask({ title, text, button, asksWait = false, asksCascade = false, asksName = false, plan = [], run }) {
    this.#run = run;
    setText(byId('dialog-title'), title);
    setText(byId('dialog-text'), text);
    setText(this.#do, button);
    byId('wait-label').hidden = !asksWait;
    byId('wait').value = '';
    byId('cascade-label').hidden = !asksCascade;
    byId('cascade').checked = false;
    byId('by-label').hidden = !asksName;
    byId('by').required = asksName;
    byId('dialog-plan').hidden = plan.length === 0;
    byId('dialog-plan').replaceChildren(...plan.map((line) => make('li', {}, line)));
    byId('dialog-error').hidden = true;
    this.#do.disabled = false;
    this.#dialog.showModal();
  }

  async #submit() {
    const by = byId('by').value.trim();
    if (!byId('by-label').hidden) remember(KEY, by);
    const wait = byId('wait').value;
    this.#do.disabled = true;
    try {
      await this.#run({ timeout: wait === '' ? null : Number(wait), cascade: byId('cascade').checked, by });
      this.#dialog.close();
    } catch (error) {
      setText(byId('dialog-error'), error.message);
      byId('dialog-error').hidden = false;
      this.#do.disabled = false;
    }
  }
}
