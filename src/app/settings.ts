/** What a person sets before a run: the texts of the fields, the options they mean, and what is wrong with them. */

import { HysparkError } from '../errors.ts';
import { PRESETS, type RunConfig, type RunOptions } from '../index.ts';
import { remember, remembered } from './remember.ts';
import { Model } from './view.ts';

export type PresetName = NonNullable<RunOptions['preset']>;
type Precision = NonNullable<RunOptions['precision']>;

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly hint: string;
  /** What the default is when the field is empty, by preset. */
  readonly placeholder: Readonly<Record<PresetName, string>> | string;
  readonly advanced?: boolean;
  /** Words by which an error of the engine names it. */
  readonly saidAs: RegExp;
  /** What is needed, where the engine's own words are for programs. */
  readonly need?: string;
}

export const FIELDS: readonly Field[] = [
  {
    name: 'maskRatio',
    label: 'Mask ratio',
    hint: 'Share of patches hidden from the encoder',
    placeholder: '0.75',
    saidAs: /mask ?ratio/i,
    need: 'a share between 0 and 1 that hides at least one of the crop’s patches and leaves one visible',
  },
  { name: 'batch', label: 'Batch', hint: 'Crops a pass; sets the memory', placeholder: '2', saidAs: /"batch"/ },
  {
    name: 'accumulate',
    label: 'Accumulation',
    hint: 'Passes a step. BatchNorm still sees one pass at a time',
    placeholder: '1',
    saidAs: /"accumulate"/,
  },
  {
    name: 'length',
    label: 'Length',
    hint: 'How long to train',
    placeholder: '300',
    saidAs: /"(steps|epochs)/,
  },
  {
    name: 'learningRate',
    label: 'Learning rate',
    hint: 'Peak, after the warm-up',
    placeholder: { tiny: '0.002', small: '0.0005', base: '0.0001' },
    saidAs: /"learningRate"/,
  },
  { name: 'seed', label: 'Seed', hint: 'Same seed, same GPU: same run', placeholder: '1', saidAs: /"seed"/ },
  {
    name: 'crop',
    label: 'Crop',
    hint: 'Voxels of 1.5 mm on a side, a multiple of 16',
    placeholder: { tiny: '48', small: '96', base: '96' },
    advanced: true,
    saidAs: /crop\b(?!s)|Brick grid/i,
  },
  {
    name: 'cropsPerScan',
    label: 'Crops a scan',
    hint: 'Drawn at each visit to a scan',
    placeholder: '4',
    advanced: true,
    saidAs: /"cropsPerScan"/,
  },
  {
    name: 'warmup',
    label: 'Warm-up',
    hint: 'Share of the steps',
    placeholder: { tiny: '0.1', small: '0.4', base: '0.4' },
    advanced: true,
    saidAs: /"warmup"/,
  },
  {
    name: 'heldOut',
    label: 'Held out',
    hint: 'Share of the scans kept to judge by',
    placeholder: '0.1',
    advanced: true,
    saidAs: /"heldOut"/,
  },
  {
    name: 'evaluationCrops',
    label: 'Judged crops',
    hint: 'Held-out crops with fixed masks',
    placeholder: '8',
    advanced: true,
    saidAs: /"evaluationCrops"/,
  },
  {
    name: 'evaluateEvery',
    label: 'Judge every',
    hint: 'Steps between judgements, pictures and checkpoints',
    placeholder: 'a twentieth of the run',
    advanced: true,
    saidAs: /"(evaluate|preview|checkpoint)Every"/,
  },
];

const MODEL_FIELDS = ['maskRatio', 'crop'] as const;

/** Weights to start from. */
export interface Weights {
  readonly name: string;
  readonly blob: Blob;
}

export class Settings extends Model {
  preset: PresetName = 'tiny';
  unit: 'steps' | 'epochs' = 'steps';
  recompute = false;
  precision: Precision = 'float32';
  /** Of the fields, as typed; empty means the default. */
  values: Record<string, string> = {};
  weights: Weights | undefined;
  partialWeights = false;

  constructor() {
    super();
    const { preset, unit, recompute, precision, ...values } = remembered().settings ?? {};
    if (preset === 'tiny' || preset === 'small' || preset === 'base') this.preset = preset;
    if (unit === 'epochs') this.unit = unit;
    this.recompute = recompute === 'true';
    if (precision === 'mixed') this.precision = precision;
    this.values = values;
  }

  placeholder(field: Field): string {
    return typeof field.placeholder === 'string' ? field.placeholder : field.placeholder[this.preset];
  }

  set(
    change: Partial<Pick<Settings, 'preset' | 'unit' | 'recompute' | 'precision' | 'weights' | 'partialWeights'>>,
  ): void {
    Object.assign(this, change);
    this.#keep();
  }

  type(name: string, text: string): void {
    this.values = { ...this.values, [name]: text };
    this.#keep();
  }

  reset(): void {
    this.values = {};
    this.unit = 'steps';
    this.recompute = false;
    this.precision = 'float32';
    this.#keep();
  }

  /** Weights of a run, which fit its own network only: so its choices become those of the form. */
  startFrom(weights: Weights, { preset, model }: RunConfig): void {
    const values = { ...this.values };
    for (const name of MODEL_FIELDS) values[name] = model[name] === PRESETS[preset][name] ? '' : String(model[name]);
    this.values = values;
    this.set({ weights, preset });
  }

  /** Fields that hold no number, with why: known without asking the engine. */
  get problems(): Map<string, string> {
    const problems = new Map<string, string>();
    for (const { name } of FIELDS) {
      const text = this.values[name]?.trim();
      if (text && !Number.isFinite(Number(text))) problems.set(name, `“${text}” is not a number.`);
    }
    return problems;
  }

  get options(): RunOptions {
    const number = (name: string) => {
      const text = this.values[name]?.trim();
      return text ? Number(text) : undefined;
    };
    const { preset, recompute, precision } = this;
    const options: Record<string, unknown> = { preset, recompute, precision };
    const model: Record<string, number> = {};
    for (const { name } of FIELDS) {
      const value = number(name);
      if (value === undefined) continue;
      if (isModelField(name)) model[name] = value;
      else if (name === 'length') options[this.unit] = value;
      else options[name] = value;
    }
    if (options.evaluateEvery !== undefined) {
      options.previewEvery = options.evaluateEvery;
      options.checkpointEvery = options.evaluateEvery;
    }
    return { ...options, ...(Object.keys(model).length > 0 && { model }) } as RunOptions;
  }

  #keep(): void {
    const { preset, unit, recompute, precision, values } = this;
    remember({ settings: { ...values, preset, unit, precision, recompute: String(recompute) } });
    this.changed();
  }
}

function isModelField(name: string): name is (typeof MODEL_FIELDS)[number] {
  return (MODEL_FIELDS as readonly string[]).includes(name);
}

/** The field that an error is about, and the error without the field's name in front. */
export function fieldOf(error: unknown): { name: string; text: string } | undefined {
  if (!(error instanceof HysparkError)) return undefined;
  const { doing, got, need } = error.parts;
  const field = FIELDS.find(({ saidAs }) => saidAs.test(doing));
  if (!field) return undefined;
  const wanted = field.need ?? need;
  return { name: field.name, text: wanted ? `${got} cannot be used. Needed: ${wanted}.` : error.message };
}
