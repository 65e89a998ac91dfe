/** What is said of a server in one word; the first rule that applies decides. A sign, so that it is not told by colour alone. */
const RULES = [
  [({ isDrained, instances }) => isDrained && instances.length > 0, 'draining', 'warn', '◐'],
  [({ isDrained }) => isDrained, 'drained', 'plain', '○'],
  [({ defined }) => !defined, 'removed', 'plain', '○'],
  [has('quarantined'), 'not proven dead', 'bad', '■'],
  [({ check }) => check?.status === 'down', 'down', 'bad', '■'],
  [({ breakers }) => breakers.some(({ state }) => state === 'open'), 'starts refused', 'bad', '■'],
  [({ check }) => check?.status === 'degraded', 'degraded', 'warn', '▲'],
  [has('ready'), 'ready', 'good', '●'],
  [has('starting'), 'starting', 'warn', '◐'],
  [has('stopping'), 'stopping', 'warn', '◐'],
  [() => true, 'not running', 'plain', '○'],
];

export function stateOf(server) {
  const [, word, tone, sign] = RULES.find(([applies]) => applies(server));
  return { word, tone, sign };
}

function has(state) {
  return ({ instances }) => instances.some((instance) => instance.state === state);
}
