import { Alerts } from './alerts.js';
import { act, Connection } from './connection.js';
import { Dialog } from './dialog.js';
import { byId, setAttribute, setText } from './dom.js';
import { howOf, listenToDryRun } from './dry-run.js';
import { Events } from './events.js';
import { Figures } from './figures.js';
import { plural } from './format.js';
import { Graphs } from './graphs.js';
import { Levels } from './levels.js';
import { Order } from './order.js';
import { nameOf } from './server-rows.js';
import { Servers } from './servers.js';

/** Long enough to be read, ms. */
const TOLD_FOR = 15_000;
const LOST = 'The host does not answer. It is tried again every 2 s; the figures below are old.';
const REFUSED =
  'The host refuses this page. It was started again and has printed a new address, or too many pages are open. Reload to try again.';

const dialog = new Dialog();
const figures = new Figures();
const graphs = new Graphs();
const alerts = new Alerts(askAcknowledge);
const servers = new Servers({ restart: askRestart, drain: askDrain, resume });
const order = new Order();
const levels = new Levels();
const events = new Events();

let snapshot;
let isPaused = false;
let isPlanned = false;
let untell;

new Connection(
  {
    history: (history) => graphs.restart(history),
    state: (next) => {
      snapshot = next;
      graphs.add(next);
      plan();
    },
    levels: (report) => levels.take(report),
    log: (entries) => {
      events.take(entries);
      plan();
    },
    notice: ({ text, isGood }) => tell(text, isGood),
  },
  (state) => {
    if (state === 'live') tell('');
    else tell(state === 'lost' ? LOST : REFUSED, false);
  },
);
listenToDryRun();

byId('pause').addEventListener('click', () => {
  isPaused = !isPaused;
  setAttribute(byId('pause'), 'aria-pressed', String(isPaused));
  setText(byId('pause'), isPaused ? 'Go on' : 'Pause');
  if (!isPaused) plan();
});

/** Draws before the next frame, once, however much has come. */
function plan() {
  if (isPlanned || isPaused) return;
  isPlanned = true;
  requestAnimationFrame(draw);
}

function draw() {
  isPlanned = false;
  if (isPaused || snapshot === undefined) return;
  figures.draw(snapshot);
  alerts.draw(snapshot);
  servers.draw(snapshot);
  order.draw(snapshot);
  levels.draw();
  events.draw();
  graphs.draw();
}

/** Says something above everything else; an empty text takes it away. What is good goes by itself. */
function tell(text, isGood = true) {
  clearTimeout(untell);
  if (text !== '' && isGood) untell = setTimeout(tell, TOLD_FOR, '');
  const banner = byId('banner');
  setText(banner, text);
  setAttribute(banner, 'data-tone', isGood ? 'good' : 'bad');
  banner.hidden = text === '';
}

async function run(action, given) {
  const { message } = await act(action, given);
  tell(message);
}

async function askRestart(server) {
  const title = `Restart ${nameOf(server)}?`;
  // Without the plan the question is still worth asking.
  const { ends } = await act('plan', { mode: 'restart', name: server.name }).catch(() => ({ ends: [] }));
  const { leases } = server.totals;
  dialog.ask({
    title,
    text:
      ends.length === 0
        ? 'It has no process now. Its breakers are closed.'
        : 'Idle and starting processes end now. Leases of shared servers move to a new process; others are waited for.',
    button: 'Restart',
    asksWait: leases > 0,
    asksCascade: Object.values(snapshot.order?.needs ?? {}).some((needs) => needs.includes(server.name)),
    plan: ends.map((end) => `pid ${end.pid ?? '–'}, ${plural(end.leases, 'lease')}: ${howOf(end)}`),
    run: ({ timeout, cascade }) => run('restart', { name: server.name, timeout, cascade }),
  });
}

function askDrain(server) {
  const { leases } = server.totals;
  const held = leases === 0 ? 'It has no leases.' : `It has ${plural(leases, 'lease')}.`;
  const waiting = server.waiting === 0 ? '' : ` ${plural(server.waiting, 'waiting caller')} would be refused.`;
  dialog.ask({
    title: `Drain ${nameOf(server)}?`,
    text: `It gives no new leases, callers are refused, and its processes end with their leases, until you resume it. ${held}${waiting}`,
    button: 'Drain',
    asksWait: leases > 0,
    run: ({ timeout }) => run('drain', { name: server.name, timeout }),
  });
}

function resume(server) {
  run('resume', { name: server.name }).catch((error) => tell(error.message, false));
}

function askAcknowledge(alert) {
  dialog.ask({
    title: 'Acknowledge this alert?',
    text: `${alert.message}. It is not repeated, and nobody else is told only because time passes.`,
    button: 'Acknowledge',
    asksName: true,
    run: ({ by }) => run('acknowledge', { id: alert.id, by }),
  });
}
