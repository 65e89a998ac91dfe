import { byId, Keyed, make, setAttribute, setText } from './dom.js';
import { stateOf } from './server-state.js';

/** The waves in which servers start. Hidden where no server depends on another one. */
export class Order {
  #waves = new Keyed(byId('waves'), () => new Wave());

  draw({ order, servers }) {
    byId('order').hidden = order === undefined;
    if (order === undefined) return;
    const known = new Map(servers.map((server) => [server.name, server]));
    const path = new Set(order.criticalPath);
    const waves = order.waves.map((names, index) => ({
      index,
      servers: names
        .filter((name) => known.has(name))
        .map((name) => ({ ...known.get(name), needs: order.needs[name] ?? [], isOnPath: path.has(name) })),
    }));
    this.#waves.show(waves, ({ index }) => index);
  }
}

class Wave {
  #title = make('h3');
  #list = make('ul');
  #servers = new Keyed(this.#list, () => new Step());
  element = make('li', {}, this.#title, this.#list);

  update({ index, servers }) {
    setText(this.#title, `Wave ${index + 1}`);
    this.#servers.show(servers, ({ name }) => name);
  }
}

class Step {
  #name = make('span');
  #state = make('span', { class: 'state' });
  #needs = make('span', { class: 'note' });
  element = make('li', {}, this.#name, ' ', this.#state, this.#needs);

  update(server) {
    const { name, needs, isOnPath } = server;
    const { word, tone, sign } = stateOf(server);
    setText(this.#name, name);
    setAttribute(this.#name, 'class', isOnPath ? 'on-path' : '');
    setText(this.#state, `${sign} ${word}`);
    setAttribute(this.#state, 'data-tone', tone);
    setText(this.#needs, needs.length === 0 ? '' : `after ${needs.join(', ')}`);
  }
}
