import { act } from './connection.js';
import { byId, make, setText } from './dom.js';
import { duration, plural } from './format.js';

/** Shows what would end, why and how. It changes nothing. */
export function listenToDryRun() {
  const mode = byId('mode');
  mode.addEventListener('change', () => {
    byId('level-label').hidden = mode.value !== 'level';
  });
  byId('dry').addEventListener('submit', async (event) => {
    event.preventDefault();
    const level = mode.value === 'level' ? { level: byId('level').value } : {};
    try {
      show(await act('plan', { mode: mode.value, ...level }));
    } catch (error) {
      byId('dry-table').hidden = true;
      setText(byId('dry-note'), error.message);
    }
  });
}

function show({ ends, rejected }) {
  byId('dry-table').hidden = ends.length === 0;
  byId('ends').replaceChildren(...ends.map(rowOf));
  const callers = rejected > 0 ? `, ${plural(rejected, 'waiting caller')} would be refused` : '';
  setText(byId('dry-note'), `${plural(ends.length, 'process tree')} would end${callers}. Nothing was ended.`);
}

function rowOf(end) {
  const { wave, name, pid, state, reason, leases } = end;
  const cells = [
    [wave + 1, 'number'],
    [name],
    [pid ?? '–', 'number'],
    [state],
    [reason],
    [leases, 'number'],
    [howOf(end)],
  ];
  return make('tr', {}, ...cells.map(([text, kind = '']) => make('td', { class: kind }, String(text))));
}

/** The steps by which a tree would end, in words. */
export function howOf({ drain, steps }) {
  const ladder = steps.map(({ step, grace }) => `${step === 'eof' ? 'end of input' : step} (${duration(grace)})`);
  return [...(drain > 0 ? [`up to ${duration(drain)} for open requests`] : []), ...ladder].join(', ');
}
