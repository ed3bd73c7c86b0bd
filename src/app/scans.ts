/** The list of scans: what was given, what was found in it, what each is. */

import type { Audit } from '../data/audit.ts';
import type { OnFound } from '../data/browser-files.ts';
import { discover } from '../data/discover.ts';
import { distinctPath, type FoundFile, reasonOf, type ScanSource } from '../data/source.ts';
import { browserPlatform } from '../data/worker/browser-platform.ts';
import { remember, remembered } from './remember.ts';
import { ScanClient } from './scan-client.ts';
import type { Look, Thumbnail, ViewVolume } from './scan-protocol.ts';
import { duration, plural, sentence } from './text.ts';
import { Model } from './view.ts';

export interface ScanItem {
  readonly id: number;
  readonly path: string;
  readonly kind: string;
  /** Bytes of its files. */
  readonly size: number;
  readonly source?: ScanSource;
  /** Its number in the sample collection. */
  readonly sample?: number;
  state: 'waiting' | 'reading' | 'ready' | 'bad';
  reason?: string;
  /** The scan in the list that it is a copy of. */
  sameAs?: ScanItem;
  hash?: string;
  audit?: Audit;
  thumbnail?: Thumbnail;
}

export interface ReadingProgress {
  readonly what: string;
  readonly done: number;
  /** Of how many; unknown while folders are walked. */
  readonly total?: number;
  /** Once some were read. */
  readonly secondsLeft?: number;
}

/** E.g. `Reading scans… 3 of 8, about 40 s left`. */
export function progressText({ what, done, total, secondsLeft }: ReadingProgress): string {
  const found = done > 0 ? ` ${plural(done, 'file')}` : '';
  const of = total === undefined ? found : ` ${done} of ${total}`;
  return `${what}…${of}${secondsLeft === undefined ? '' : `, about ${duration(secondsLeft)} left`}`;
}

export const SAMPLE_COUNT = 6;
/** Files found between two redraws. */
const REDRAW_FILES = 100;
/** Before that, what is left of the reading is a guess. */
const FIRST_ESTIMATE_MS = 3000;

/** Where scans are read: a worker. */
type Reader = Pick<ScanClient, 'run'>;

export class Scans extends Model {
  items: ScanItem[] = [];
  selected: ScanItem | undefined;
  /** Files that have nothing to do with scans. */
  ignored = 0;
  /** While files are searched and scans are read. */
  progress: ReadingProgress | undefined;
  /** Why the last thing asked for did not work. */
  problem: string | undefined;

  /** Two: one for the list, one so that the viewer need not wait for it. */
  readonly #reader: Reader;
  readonly #viewer: Reader;
  /** Files given since the list was empty: those given twice are no others. */
  readonly #given = new Set<string>();
  #nextId = 1;
  #reading = false;

  constructor(reader: Reader = new ScanClient(), viewer: Reader = new ScanClient()) {
    super();
    this.#reader = reader;
    this.#viewer = viewer;
  }

  get usable(): ScanItem[] {
    return this.items.filter(({ state }) => state === 'ready');
  }

  get busy(): boolean {
    return this.progress !== undefined;
  }

  /** The files of the usable scans, for a run. */
  get files(): FoundFile[] {
    // Scans added one after another may have equal paths, by which a header would find the other's image.
    return this.usable.flatMap(({ id, path, source }) =>
      source!.files.map((file) => (path === source!.path ? file : { ...file, path: `(${id})/${file.path}` })),
    );
  }

  /** Finds the scans among `files` and reads them, one after the other. `samples` are numbers of sample scans, by path. */
  async add(files: readonly FoundFile[], samples?: ReadonlyMap<string, number>): Promise<void> {
    this.problem = undefined;
    if (files.length === 0) return;
    this.#show('Looking through files', 0, files.length);
    try {
      const found = await discover(files, browserPlatform.open, (done) => {
        if (done % 50 === 0) this.#show('Looking through files', done, files.length);
      });
      if (this.#areNew(files)) this.ignored += found.ignored;
      const known = new Set(this.items.map(({ source }) => source && sameAs(source)));
      const taken = new Set(this.items.map(({ path }) => path));
      const added = found.scans.filter((source) => !known.has(sameAs(source)));
      for (const source of added) {
        const size = source.files.reduce((sum, file) => sum + file.size, 0);
        const [path, sample] = [distinctPath(source.path, taken), samples?.get(source.path)];
        this.items.push({ id: this.#nextId++, path, kind: source.kind, size, source, sample, state: 'waiting' });
      }
      if (added.length === 0 && found.scans.length > 0) this.problem = 'The list has these scans already.';
      for (const { path, reason } of found.setAside) this.#addBad(path, reason);
      if (found.scans.length + found.setAside.length === 0) {
        this.problem = `None of the ${files.length} files is a scan. NIfTI (.nii, .nii.gz, .hdr + .img) and DICOM are read.`;
      }
    } catch (error) {
      this.problem = reasonOf(error);
    }
    this.#rememberSamples();
    await this.#readWaiting();
  }

  /**
   * Adds what a picker or a drop gives, once it does; `find` is called at once and gives undefined when the person changed their mind.
   */
  async addFrom(find: (onFound: OnFound) => Promise<readonly FoundFile[] | undefined>): Promise<void> {
    this.problem = undefined;
    try {
      const found = await find((count) => {
        if (count % REDRAW_FILES === 0) this.#show('Looking through folders', count);
      });
      if (found && found.length > 0) return await this.add(found);
      if (found) this.problem = 'No files were found: the folder is empty.';
    } catch (error) {
      this.problem = sentence(error);
    }
    this.#rest();
  }

  /** Makes sample scans, all or those of these numbers. */
  async addSamples(numbers: readonly number[] = Array.from({ length: SAMPLE_COUNT }, (_, i) => i)): Promise<void> {
    this.problem = undefined;
    const files: FoundFile[] = [];
    const samples = new Map<string, number>();
    try {
      for (const number of numbers) {
        this.#show('Making sample scans', files.length, numbers.length);
        const file = await this.#reader.run((service) => service.sample(number));
        const path = `samples/${file.name}`;
        files.push({ path, size: file.size, handle: file });
        samples.set(path, number);
      }
      await this.add(files, samples);
    } catch (error) {
      this.problem = sentence(error);
      this.#rest();
    }
  }

  /** What the last visit worked on, as far as the browser lets us have it again: sample scans. */
  async restore(): Promise<void> {
    const { samples } = remembered();
    if (Array.isArray(samples) && samples.length > 0 && this.items.length === 0) await this.addSamples(samples);
  }

  select(item: ScanItem | undefined): void {
    this.selected = item;
    this.changed();
  }

  remove(item: ScanItem): void {
    const at = this.items.indexOf(item);
    this.items.splice(at, 1);
    if (this.selected === item) this.selected = this.items.slice(at).concat(this.items).find(isReady);
    // One of its copies takes its place.
    for (const copy of this.items.filter((other) => other.sameAs === item)) {
      Object.assign(copy, { state: 'waiting', reason: undefined, sameAs: undefined });
    }
    this.#rememberSamples();
    this.changed();
    void this.#readWaiting();
  }

  clear(): void {
    this.items = [];
    this.selected = undefined;
    this.ignored = 0;
    this.problem = undefined;
    this.#given.clear();
    this.#rememberSamples();
    this.changed();
  }

  /** Leaves what was not read yet out of the list. */
  stopReading(): void {
    this.items = this.items.filter(({ state }) => state !== 'waiting');
    this.#rememberSamples();
    this.changed();
  }

  /** The scan's voxels for the viewer. */
  volume(item: ScanItem): Promise<ViewVolume> {
    return this.#viewer.run((service) => service.volume(item.source!));
  }

  async #readWaiting(): Promise<void> {
    if (this.#reading || !this.#nextWaiting()) return this.#rest();
    this.#reading = true;
    const start = performance.now();
    let bytesRead = 0;
    for (let item = this.#nextWaiting(); item; item = this.#nextWaiting()) {
      item.state = 'reading';
      const left = this.items.filter(({ state }) => state === 'waiting' || state === 'reading');
      const elapsed = performance.now() - start;
      const bytesLeft = left.reduce((sum, { size }) => sum + size, 0);
      const secondsLeft = elapsed > FIRST_ESTIMATE_MS ? ((elapsed / bytesRead) * bytesLeft) / 1000 : undefined;
      this.#show('Reading scans', this.items.length - left.length, this.items.length, secondsLeft);
      const { source } = item;
      const look = await this.#reader
        .run((service) => service.look(source!))
        .catch((error: unknown): Look => ({ usable: false, hash: '', reason: reasonOf(error) }));
      bytesRead += item.size;
      this.#took(item, look);
    }
    this.#reading = false;
    this.#rest();
  }

  #took(item: ScanItem, look: Look): void {
    item.hash = look.hash;
    const same = this.items.find((other) => other !== item && other.state === 'ready' && other.hash === look.hash);
    if (!look.usable || same) {
      item.state = 'bad';
      item.reason = look.usable ? `The same as ${same!.path}.` : look.reason;
      item.sameAs = same;
      return;
    }
    item.state = 'ready';
    item.audit = look.audit;
    item.thumbnail = look.thumbnail;
    this.selected ??= item;
  }

  #addBad(path: string, reason: string): void {
    this.items.push({ id: this.#nextId++, path, kind: '', size: 0, state: 'bad', reason });
  }

  #nextWaiting(): ScanItem | undefined {
    return this.items.find(({ state }) => state === 'waiting');
  }

  /** Whether one of the files was not given before; from then on all of them were. */
  #areNew(files: readonly FoundFile[]): boolean {
    const before = this.#given.size;
    for (const { path, size } of files) this.#given.add(`${path} ${size}`);
    return this.#given.size > before;
  }

  #rememberSamples(): void {
    remember({ samples: this.items.flatMap(({ sample }) => sample ?? []) });
  }

  #show(what: string, done: number, total?: number, secondsLeft?: number): void {
    this.progress = { what, done, total, secondsLeft };
    this.changed();
  }

  /** Nothing is searched or made any more; scans may still be read. */
  #rest(): void {
    if (!this.#reading) this.progress = undefined;
    this.changed();
  }
}

/** What two additions of the same files on disk have in common. */
function sameAs({ path, files }: ScanSource): string {
  const dates = files.map(({ handle }) => (handle instanceof File ? handle.lastModified : 0));
  return [path, ...files.map(({ size }) => size), ...dates].join();
}

function isReady({ state }: ScanItem): boolean {
  return state === 'ready';
}
