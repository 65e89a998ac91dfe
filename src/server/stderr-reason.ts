import { quoted } from '../runtime/quoted.js';

/** How much of a line is looked at. */
const LONGEST_LINE = 500;
/** How many lines from the end are looked at. An error that a server logged before these is not why it exited. */
const MOST_LINES = 200;
/** The same, without stack frames and other lines that never say why. */
const MOST_WORDS = 25;

/** A line of stderr. */
export interface StderrReason {
  readonly line: string;
  /** Whether it reports an error. If not, it is the last line that is more than a hint. */
  readonly isError: boolean;
}

/**
 * The line of stderr that says why a program exited; undefined when stderr is empty. Few programs end with that line: Node
 * writes its version after it, npm the path of a log file, docker a hint, Rust and Java a stack.
 */
export function stderrReason(stderrTail: string): StderrReason | undefined {
  const lines = linesOf(stderrTail);
  const words = lines.filter((line) => !isStack(line)).slice(-MOST_WORDS);
  const error =
    words.findLast((line) => isError(line) && !isWrapper(line) && !isExceptionGroup(line)) ?? npmReason(words);
  if (error !== undefined) return { line: quoted(withMessage(error, lines)), isError: true };
  const last =
    words.findLast((line) => !isWrapper(line) && !isHint(line)) ??
    words.findLast((line) => !isHint(line)) ??
    words.at(-1) ??
    lines.at(-1);
  return last === undefined ? undefined : { line: quoted(withMessage(last, lines)), isError: false };
}

/** Colours, and other commands to a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: each command to a terminal begins with ESC
const TERMINAL = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;

/** The last lines, without colours, and without the margin that Python draws beside a group of exceptions. */
function linesOf(text: string): string[] {
  return text
    .replace(TERMINAL, '')
    .split(/\r?\n|\r/)
    .map((line) =>
      line
        .slice(0, LONGEST_LINE)
        .trimEnd()
        .replace(/^[ ]*(?:[|] |[+]-[-+]*[ ]\d+[ ]-+$|[+]-+$)/, ''),
    )
    .filter((line) => line !== '')
    .slice(-MOST_LINES);
}

/** A line of code, of a stack, or of the properties of an error: it says where, not why. */
function isStack(line: string): boolean {
  return STACK.some((pattern) => pattern.test(line));
}

const STACK = [
  // All of these languages indent their stacks. pnpm and uv indent their errors by one or two spaces.
  /^(?:\t| {3,}| {0,2}(?:File "|at |throw |new |raise |return |from |[~^]))/,
  /^[\s^~]*$/,
  /^\s*\d+: /,
  /^\s*\d+ \| /,
  // Of Go.
  /^(?:goroutine \d+ |created by |exit status \d|[\w./]+\.(?:\(\*\w+\)\.)?[\w.]+\((?:0x|\{|\.\.\.|\)$))/,
  /^[\s{}[\](),]*$/,
  /^(?:file:\/\/)?(?:[A-Za-z]:)?[^\s:]*[\\/][^\s:]*:\d+$/,
  /^node:\S+:\d+$/,
  /^ {2}(?:\[?\w+\]?: .*|[)\]}],?)$/,
  /^(?:stack backtrace|Stack trace|-+ \w+ stack trace -+|<--- )/i,
  /^(?:#\d+ |\[\d+:0x)/,
];

/** A line with the words "error", "panic" and the like before a colon, or a class of an exception alone. */
function isError(line: string): boolean {
  return ERROR.some((pattern) => pattern.test(line));
}

const ERROR = [
  /\b(?:[\w.]*(?:Error|Exception|Rejection|Interrupt)|error|panic|fatal|fatal error|critical)(?: ?[[(][\w.]+[\])])?: ?\S/i,
  /^(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Interrupt)$/,
  /\((?:[\w:]*(?:Error|Exception))\)$/,
  /^thread '.*' (?:\(\d+\) )?panicked at /,
  /\b(?:ERROR|FATAL|CRITICAL|PANIC)\b/,
  /^(?:\s*×|error|\s?ERR_PNPM_\w+)\s+\S/,
];

/** An exception of Python that only says how many others it consists of. */
function isExceptionGroup(line: string): boolean {
  return /^(?:\w+\.)*(?:Base)?ExceptionGroup: /.test(line);
}

/** A line of a program that started another one, and says only that it failed; or a warning. */
function isWrapper(line: string): boolean {
  return WRAPPER.some((pattern) => pattern.test(line));
}

const WRAPPER = [
  /^npm(?: |$)/,
  /^\(node:\d+\)|\b\w*Warning:|^(?:warn|warning|info|notice|debug)\b/i,
  /^error: script .* exited with code/,
  /^error Command failed\b/,
  /^\s?ELIFECYCLE\b/,
  /^Exception ignored in:/,
];

/** A line that tells the reader what to do next. */
function isHint(line: string): boolean {
  return HINT.some((pattern) => pattern.test(line));
}

const HINT = [
  /^(?:Node\.js v\d|Bun v\d|Deno \d)/,
  /^npm (?:error|ERR!) A complete log\b|^npm (?:notice|warn|WARN)\b/,
  /^(?:Run|See|Try|Use) ['"`]/,
  /^For more information\b|^See ['"`]?\S+ --help\b|--help['"`]? for /,
  /^\(Use ['"`]?node --trace-/,
  /^(?:note|hint|help|info|usage|options): ?/i,
  /^info Visit /,
  /^During handling of the above|^The above exception was/,
];

/** The words of npm, without the lines on what it did when it failed. */
function npmReason(lines: readonly string[]): string | undefined {
  const all = lines.filter((line) => /^npm (?:error|ERR!)/.test(line) && !isHint(line));
  const [code] = all.filter((line) => /^npm \S+ code E/.test(line));
  return all.find((line) => !NPM_DETAIL.test(line)) ?? code;
}

const NPM_DETAIL =
  /^npm \S+(?: \S+)?$|^npm \S+ (?:code|errno|syscall|path|dest|command|signal|workspace|location|cwd) |^npm \S+ Lifecycle script /;

/** Rust and some others write the message in the line after the place. */
function withMessage(reason: string, lines: readonly string[]): string {
  const next = reason.endsWith(':') ? lines[lines.lastIndexOf(reason) + 1] : undefined;
  return next === undefined || isStack(next) ? reason.trim() : `${reason.trim()} ${next.trim()}`;
}
