// Loaded into a server before its other modules (`node --import`): each SIGUSR2 moves its clock on by twenty minutes.
const { now } = Date;
const step = 20 * 60_000;
let ahead = 0;

Date.now = () => now() + ahead;
process.on('SIGUSR2', () => {
  ahead += step;
});
