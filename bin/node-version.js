// Which Node can run Berth. In plain JavaScript that any Node reads, for an older one has to say so.

const OLDEST = 26;

/**
 * @param {string} version such as '26.10.0'
 * @returns {string | undefined} what is wrong with it
 */
export function nodeProblem(version) {
  if (Number.parseInt(version, 10) >= OLDEST) return undefined;
  return (
    `Node.js ${OLDEST} or newer is needed, and this is ${version}. Install one from https://nodejs.org, ` +
    'or let npm bring it: `npm install` puts it into node_modules, and `npm start` uses it.'
  );
}
