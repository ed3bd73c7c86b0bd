/** Where set-up takes newer Mesa from, on made-up apt sources. Needs apt itself, so it runs on Debian and its kin only. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'apt-sources-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What `backports_source bookworm` prints when apt's sources are one `sources.list` and one `.sources` file. */
function backportsSource(list: string, deb822 = ''): string {
  mkdirSync(join(folder, 'parts'), { recursive: true });
  writeFileSync(join(folder, 'list'), list);
  writeFileSync(join(folder, 'parts', 'debian.sources'), deb822);
  const options = `-o Dir::Etc::sourcelist=${folder}/list -o Dir::Etc::sourceparts=${folder}/parts`;
  const script = `source src/testing/setup.sh; backports_source bookworm ${options}`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8', stdio: 'pipe' }).trim();
}

describe.skipIf(!existsSync('/usr/bin/apt-get'))('the backports source (skipped where there is no apt)', () => {
  const updates =
    'deb http://mirror.test/debian bookworm-updates main\ndeb http://mirror.test/security bookworm-security main\n';
  const expected = 'deb http://mirror.test/debian bookworm-backports main';

  test('is on the mirror of a one-line source, options or not', () => {
    expect(backportsSource(`deb http://mirror.test/debian bookworm main\n${updates}`)).toBe(expected);
    expect(backportsSource(`${updates}deb [arch=amd64] http://mirror.test/debian/ bookworm contrib main`)).toBe(
      expected,
    );
  });

  test('is on the mirror of a deb822 source', () => {
    const stanza = (uri: string, suites: string) => `Types: deb\nURIs: ${uri}\nSuites: ${suites}\nComponents: main\n\n`;
    const security = stanza('http://mirror.test/security', 'bookworm-security');
    expect(backportsSource('', security + stanza('http://mirror.test/debian', 'bookworm bookworm-updates'))).toBe(
      expected,
    );
  });

  test("passes over others' repositories", () => {
    const others = 'deb http://other.test/linux bookworm stable\ndeb http://other.test/node nodistro main\n';
    expect(backportsSource(`${others}deb http://mirror.test/debian bookworm main`)).toBe(expected);
  });

  test('is not added twice', () => {
    expect(
      backportsSource(
        'deb http://mirror.test/debian bookworm main\ndeb http://mirror.test/debian bookworm-backports main',
      ),
    ).toBe('');
  });

  test('is refused when no source offers the release', () => {
    expect(() => backportsSource('deb http://mirror.test/debian trixie main')).toThrow(
      'No apt source offers Debian bookworm',
    );
  });
});
