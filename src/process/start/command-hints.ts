/** What a shell would replace or do; here nothing does. */
const SHELL_SYNTAX = /[|&;<>`]/;
const VARIABLE = /\$\{?\w|%\w+%/;

/**
 * The part of a command that may be shown: what follows the first blank, or a `NAME=` before it, was meant as arguments or
 * variables, which may be secret.
 */
export function shownCommand(command: string): string {
  const [first = '', rest] = command.trim().split(/\s+(.*)/s, 2);
  const word = first.replace(/^(\w+)=.*/s, '$1=…');
  return rest ? `${word} …` : word;
}

/** What is probably wrong with a command that was not found; undefined when nothing can be said. */
export function commandHint(command: string): string | undefined {
  if (command !== command.trim()) return 'command begins or ends with a blank; remove it';
  if (/^['"]/.test(command)) return 'command is not read by a shell; leave the quotes out';
  if (/^\w+=/.test(command)) return 'command is not read by a shell; put variables into env';
  if (SHELL_SYNTAX.test(command))
    return `command is not read by a shell; use command: 'sh' and args: ['-c', '…'] if it needs one`;
  const path = pathHint(command);
  if (path !== undefined) return path;
  // A path may contain blanks; that of a program with arguments has its blank after the name of the program.
  return /\s/.test(command)
    ? `put the program alone into command ('${command.split(/\s/, 1)[0]}'), and the rest into args`
    : undefined;
}

/** The same for a working directory. */
export function pathHint(path: string): string | undefined {
  if (/^~(\/|\\|$)/.test(path) || /^~\w+/.test(path))
    return "'~' is not replaced; write the absolute path, such as join(os.homedir(), '…')";
  if (VARIABLE.test(path)) return 'variables are not replaced; write the value in its place';
  return /^file:/.test(path) ? 'it is a URL; pass a path (fileURLToPath)' : undefined;
}
