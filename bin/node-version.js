// Checks the version of Node. In plain JavaScript, so that an older Node can print the error.

const OLDEST = 26;

/**
 * @param {string} version such as '26.10.0'
 * @returns {string | undefined} why it cannot run Berth; `undefined` if it can
 */
export function nodeProblem(version) {
  if (Number.parseInt(version, 10) >= OLDEST) return undefined;
  return (
    `Node.js ${OLDEST} or newer is needed, and this is ${version}. Install it from https://nodejs.org, ` +
    'or run `npm install`, which puts it into node_modules, and then `npm start`, which uses it.'
  );
}
