/**
 * The rules of the house, each a function from files to the sentences that say what breaks it. `house.test.ts` applies them
 * to the repository, and to small wrong examples, so that a rule that no longer finds anything is noticed.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';

export interface SourceFile {
  /** Relative to the project's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}
type Rule = (files: readonly SourceFile[]) => string[];

const isSource = ({ path }: SourceFile) => /^(src|shaders|e2e)\//.test(path);
const isCode = (file: SourceFile) => isSource(file) && file.path.endsWith('.ts');
/** Tests, cases and what serves them may look everywhere. */
const isTest = ({ path }: SourceFile) => /\.(test|cases)\.ts$|^src\/testing\/|^e2e\//.test(path);

export const MOST_LINES = 500;

/** A file that does not fit a sitting is several. */
export const shortFiles: Rule = (files) =>
  files.filter(isSource).flatMap(({ path, text }) => {
    const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
    return lines > MOST_LINES ? [`${path} has ${lines} lines, at most ${MOST_LINES} are allowed`] : [];
  });

/** From the top down: a folder imports itself, the tiers below its own, and what `SIDEWAYS` adds. */
const TIERS: readonly (readonly string[])[] = [
  ['app', 'node', 'bench'],
  ['index', 'engine', 'model'],
  ['worker'],
  ['train'],
  ['models'],
  ['nn'],
  ['ops'],
  ['bricks', 'tape'],
  ['gpu'],
  ['shaders'],
];
/** Stand beside the engine: they import themselves only, and serve what lies above the layers. */
const BESIDE = ['data', 'formats', 'store'];
const ABOVE_LAYERS = TIERS.slice(
  0,
  TIERS.findIndex((tier) => tier.includes('nn')),
).flat();
/**
 * Within a tier: a brick table is made of the tape's inputs; scans are cached in a store; benchmark pages look like the app, in Node they read
 * scans as `node` does, and start the Chromium of the tests.
 */
const SIDEWAYS = ['bricks → tape', 'data → store', 'bench → app', 'bench → node', 'bench → testing'];
/** Below everything: no imports of their own. */
const BASE = ['errors', 'interruption', 'random'];

const tierOf = (folder: string) => TIERS.findIndex((tier) => tier.includes(folder));

/** `src/ops/linear.ts` → ops, `src/index.ts` → index, `shaders/lib/rows.ts` → shaders. */
function folderOf(path: string): string {
  const [top, next] = path.split('/');
  return top === 'src' ? next!.replace(/\.ts$/, '') : top!;
}

function mayImport(from: string, to: string): boolean {
  if (from === to || SIDEWAYS.includes(`${from} → ${to}`)) return true;
  if (BASE.includes(to)) return from !== 'shaders' && !BASE.includes(from);
  if (BESIDE.includes(to)) return ABOVE_LAYERS.includes(from);
  if (BESIDE.includes(from) || tierOf(from) < 0 || tierOf(to) < 0) return false;
  return tierOf(from) < tierOf(to);
}

/** Imports point downwards. Workers and globs count: `new URL('./x.ts', import.meta.url)`, `import.meta.glob('./x.ts')`. */
export const importDirections: Rule = (files) =>
  files
    .filter((file) => isCode(file) && !isTest(file))
    .flatMap(({ path, text }) => {
      const specifiers = /\b(?:from|import|import\(|glob(?:<[^(]*>)?\(|new URL\()\s*['"](\.[^'"]+)['"]/g;
      return [...withoutComments(text).matchAll(specifiers)].flatMap(([, specifier]) => {
        const target = posix.join(posix.dirname(path), specifier!);
        const [from, to] = [folderOf(path), folderOf(target)];
        return mayImport(from, to) ? [] : [`${path} imports ${target}: ${from} may not import ${to}`];
      });
    });

/**
 * WebGPU stays in one folder. The tape is the exception: its plan places tensors in buffers, binds them and reads them back, and a
 * wrapper for each of those would only rename WebGPU's own types.
 */
export const gpuTypes: Rule = (files) =>
  files
    .filter((file) => isCode(file) && !isTest(file) && !/^src\/(gpu|tape)\//.test(file.path))
    .flatMap(({ path, text }) => {
      const name = /\bGPU[A-Z]\w*|\bnavigator\.gpu\b/.exec(withoutComments(text))?.[0];
      return name ? [`${path} names ${name}: only src/gpu and src/tape may`] : [];
    });

/** The engine runs in browsers, Node and Deno alike; what belongs to one of them stays in these places. */
const PLATFORM_PLACES = /^src\/(node|bench|store)\/|^src\/gpu\/dawn\.ts$/;

export const platformImports: Rule = (files) =>
  files
    .filter((file) => isCode(file) && !isTest(file) && !PLATFORM_PLACES.test(file.path))
    .flatMap(({ path, text }) => {
      const name = /['"]node:[\w/]+['"]|\bDeno\.\w+/.exec(withoutComments(text))?.[0];
      return name ? [`${path} uses ${name}: only src/node, src/bench, src/store and src/gpu/dawn.ts may`] : [];
    });

/** Packages and their mirrors are named by the machine's settings, and a machine's folders by nobody. */
export const noMachineNames: Rule = (files) =>
  files.flatMap(({ path, text }) => {
    const hosts = /\b(?:registry|npm|deb|ftp|mirrors?|packages|pypi|files|proxy)\.[a-z0-9-]+\.[a-z]{2,}\b/g;
    const folders = /(?<=^|[\s'"`=(:])\/(?:work|root|home|Users)\/[\w.-]+/gm;
    return [...(text.match(hosts) ?? []), ...(text.match(folders) ?? [])].map(
      (name) => `${path} names ${name}, which is a package registry's or a machine's own`,
    );
  });

export const TEST_COMMAND = 'npm ci && npm test';

/** The README's test command is what continuous integration runs. */
export const documents: Rule = (files) => {
  const text = (path: string) => files.find((file) => file.path === path)?.text;
  const missing = ['README.md', 'ARCHITECTURE.md', '.ci/run'].filter((path) => !text(path)?.trim());
  const silent = ['README.md', '.ci/run'].filter(
    (path) => !missing.includes(path) && !text(path)!.includes(TEST_COMMAND),
  );
  return [
    ...missing.map((path) => `${path} is missing or empty`),
    ...silent.map((path) => `${path} does not have the test command: ${TEST_COMMAND}`),
  ];
};

/** Comments out, strings kept: a glob such as `./*.ts` begins no comment. */
function withoutComments(text: string): string {
  const strings = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/.source;
  const comments = /\/\*[\s\S]*?\*\/|\/\/.*/.source;
  return text.replace(new RegExp(`(${strings})|${comments}`, 'g'), (_, string?: string) => string ?? '');
}

/** Every text file of the project but what git ignores. `.gitignore` names whole folders and endings only. */
export function projectFiles(root = '.'): SourceFile[] {
  const lines = readFileSync(`${root}/.gitignore`, 'utf8').split('\n').filter(Boolean);
  const folders = ['.git', ...lines.filter((line) => line.endsWith('/')).map((line) => line.slice(0, -1))];
  const endings = lines.filter((line) => line.startsWith('*')).map((line) => line.slice(1));
  const files: SourceFile[] = [];
  const walk = (folder: string) => {
    for (const entry of readdirSync(`${root}/${folder}`, { withFileTypes: true })) {
      const path = posix.join(folder, entry.name);
      if (folders.includes(entry.name) || endings.some((ending) => path.endsWith(ending))) continue;
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile() && !/\.(png|ico|woff2?|gz)$/.test(path)) {
        files.push({ path, text: readFileSync(`${root}/${path}`, 'utf8') });
      }
    }
  };
  walk('.');
  return files;
}
