/** The engine as the page sees it, with an engine that does what the test says. */

import { beforeEach, expect, test, vi } from 'vitest';
import { HysparkError } from '../errors.ts';
import type { EngineClient, OnRunEvent, Progress, RunListing, RunPhase, RunResult, StartRequest } from '../index.ts';
import './view.ts';

// What the page looks at as soon as it is loaded; Lit, loaded before, would look for more.
vi.stubGlobal('document', { visibilityState: 'visible', addEventListener: () => undefined });
vi.stubGlobal('navigator', { storage: {} });
const { Session } = await import('./session.ts');

interface Promised<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

function promised<T>(): Promised<T> {
  const parts = {} as { -readonly [K in keyof Promised<T>]: Promised<T>[K] };
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}

class FakeEngine {
  readonly asked: string[] = [];
  readonly death = promised<string>();
  readonly starting = promised<string>();
  readonly metrics = promised<Blob>();
  readonly end = promised<RunResult>();
  request: StartRequest | undefined;
  tell!: OnRunEvent;
  listRuns: () => Promise<RunListing[]> = async () => [];

  readonly died = this.death.promise;
  cacheBytes = async () => 0;
  readRunFile = () => this.metrics.promise;
  finished = () => this.end.promise;
  start = (request: StartRequest, onEvent: OnRunEvent) => {
    this.asked.push('start');
    this.request = request;
    this.tell = onEvent;
    return this.starting.promise;
  };
  pause = async () => void this.asked.push('pause');
  resume = async () => void this.asked.push('resume');
  stop = async () => void this.asked.push('stop');
  open = (): Promise<never> => Promise.reject(new Error('No engine.'));

  phase(phase: RunPhase): void {
    this.tell({ type: 'state', phase, detail: '' });
  }
}

function stored(id: string, phase: RunPhase): RunListing {
  return { id, phase, files: [{ path: 'checkpoints/000004.safetensors', size: 1 }] } as unknown as RunListing;
}

function step(number: number): Progress {
  return { step: number, steps: 9, loss: 1, learningRate: 0.1, cropsPerSecond: 1 } as Progress;
}

let engine: FakeEngine;
const open = () => new Session(() => engine as unknown as EngineClient);
const settled = () => new Promise((resolve) => setTimeout(resolve));

beforeEach(() => {
  const kept = new Map<string, string>();
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  });
  engine = new FakeEngine();
});

test('a continued run can be cancelled while its earlier curves are read', async () => {
  const session = open();
  const started = session.start({ files: [], resume: 'a' });
  await session.command('stop');
  expect(engine.asked).toEqual(['start', 'stop']);
  engine.starting.reject(new HysparkError('aborted', { doing: 'Starting a run' }));
  await started;
  expect(session.run).toBeUndefined();
});

test('earlier curves come before the steps that follow, or not at all', async () => {
  const metrics = new Blob([JSON.stringify({ kind: 'step', ...step(4) })]);
  for (const [first, expected] of [
    ['curves', [4, 5]],
    ['step', [5]],
  ] as const) {
    engine = new FakeEngine();
    const session = open();
    void session.start({ files: [], resume: 'a' });
    if (first === 'curves') engine.metrics.resolve(metrics);
    await settled();
    engine.tell({ type: 'progress', progress: step(5) });
    engine.metrics.resolve(metrics);
    await settled();
    expect(session.run!.curves.steps).toEqual(expected);
  }
});

test('what was asked for stays asked for until it is done', async () => {
  const session = open();
  void session.start({ files: [] });
  const asked = (phase: RunPhase) => {
    engine.phase(phase);
    return session.run!.asked;
  };
  engine.phase('training');
  await session.command('pause');
  // The GPU is lost and replaced.
  expect([asked('preparing'), asked('training'), asked('paused')]).toEqual(['pause', 'pause', undefined]);
  await session.command('resume');
  expect([asked('paused'), asked('training')]).toEqual(['resume', undefined]);
  await session.command('stop');
  expect([asked('training'), asked('paused'), asked('stopped')]).toEqual(['stop', 'stop', undefined]);
});

test('an offer that was put away is made again once its run was continued', async () => {
  engine.listRuns = async () => [stored('a', 'interrupted')];
  const session = open();
  await session.list();
  expect(session.resumable?.id).toBe('a');
  session.dismissOffer(session.resumable!);
  expect(session.resumable).toBeUndefined();
  void session.start({ files: [], resume: 'a' });
  const next = open();
  await next.list();
  expect(next.resumable?.id).toBe('a');
});

test('a warning that was put away stays away, a newer one comes', () => {
  const session = open();
  void session.start({ files: [] });
  const warn = (time: number, text: string) => engine.tell({ type: 'log', line: { time, level: 'warning', text } });
  warn(1, 'first');
  warn(2, 'second');
  expect(session.warning?.text).toBe('second');
  session.dismissWarning();
  expect(session.warning).toBeUndefined();
  warn(3, 'third');
  expect(session.warning?.text).toBe('third');
  expect(session.run!.log.length).toBe(3);
});

test('a new run has its name at once', () => {
  const session = open();
  void session.start({ files: [] });
  expect(session.run!.id).toMatch(/^\d{4}-\d\d-\d\dT/);
  expect(engine.request?.id).toBe(session.run!.id);
});

test('a run whose engine died is no longer listed as under way, another tab’s is', async () => {
  engine.listRuns = async () => [stored('mine', 'training'), stored('other', 'training')];
  const session = open();
  void session.start({ files: [], id: 'mine' });
  await session.list();
  engine.death.resolve('its worker stopped');
  await settled();
  expect(session.stored!.map(({ phase }) => phase)).toEqual(['interrupted', 'training']);
});

test('an engine that could not be loaded says nothing of the GPU', async () => {
  const session = open();
  engine.death.resolve('its worker could not be loaded');
  await settled();
  await session.open();
  expect(session.engineProblem).toContain('could not be loaded');
  expect(session.deviceProblem).toBeUndefined();
});

test('of two lists the later one holds', async () => {
  const answers = [promised<RunListing[]>(), promised<RunListing[]>()];
  let asked = 0;
  engine.listRuns = () => answers[asked++]!.promise;
  const session = open();
  const both = [session.list(), session.list()];
  answers[1]!.resolve([stored('b', 'finished')]);
  await settled();
  answers[0]!.resolve([stored('a', 'finished')]);
  await Promise.all(both);
  expect(session.stored!.map(({ id }) => id)).toEqual(['b']);
});
