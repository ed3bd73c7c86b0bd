/** Which browser this is, as people say it. */

const BROWSERS = [
  ['Firefox', /Firefox\/([\d.]+)/],
  ['Edge', /Edg\/(\d+)/],
  ['Headless Chrome', /HeadlessChrome\/(\d+)/],
  ['Chrome', /Chrome\/(\d+)/],
  ['Safari', /Version\/([\d.]+).*Safari/],
] as const;

/** `Headless Chrome 141, Linux`. */
export function browserName(agent: string): string {
  const system = /Windows|Mac OS X|Android|iPhone|iPad|CrOS|Linux/.exec(agent)?.[0];
  for (const [name, pattern] of BROWSERS) {
    const version = pattern.exec(agent)?.[1];
    if (version) return `${name} ${version}${system ? `, ${system}` : ''}`;
  }
  return agent;
}
