// calls.mjs FILE: have the calls of SCF in a file, a line of JSON for each, the form of the official types?
import fs from 'node:fs';
import { typeFaults } from './types.mjs';

const calls = fs.readFileSync(process.argv[2], 'utf8').trim().split('\n').map(line => JSON.parse(line))
  .filter(call => call.service === 'scf').map(call => ({ Action: call.action, ...call.request }));
const faults = typeFaults(calls);
const mistaken = typeFaults([{ ...calls[0], Mistake: 1 }]);
if (faults || !mistaken || calls.length < 10) {
  console.log(faults || 'a mistake is not found, or there are too few calls');
  process.exit(1);
}
console.log(`${new Set(calls.map(call => call.Action)).size} calls of SCF have the form of Tencent's SDK`);
