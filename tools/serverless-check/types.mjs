// Do requests have the form that the API's official types give them?
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const home = path.dirname(fileURLToPath(import.meta.url));
const models = {
  scf: path.join(home, 'node_modules/tencentcloud-sdk-nodejs-scf/tencentcloud/services/scf/v20180416/scf_models.js'),
};

// What tencent-component-toolkit sends beyond the published types.
const unpublished = { CreateFunction: ['DeployMode', 'L5Enable', 'DiskSize'], UpdateFunctionConfiguration: ['DiskSize'] };

// typeFaults returns what the compiler says about calls {service, Action, ...request}: '' if nothing.
export function typeFaults(calls) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'serverless-check-'));
  try {
    const lines = Object.entries(models).map(([service, file]) => `import type * as ${service} from ${JSON.stringify(file)};`);
    for (const { service = 'scf', Action, ...request } of calls) {
      for (const key of unpublished[Action] ?? []) delete request[key];
      lines.push(`(${JSON.stringify(request)}) satisfies ${service}.${Action}Request;`);
    }
    fs.writeFileSync(path.join(dir, 'requests.mts'), lines.join('\n'));
    execFileSync(path.join(home, 'node_modules/.bin/tsc'), ['--noEmit', '--strict', '--skipLibCheck', '--ignoreConfig', '--module', 'nodenext',
      '--target', 'es2022', '--types', '', 'requests.mts'], { cwd: dir, stdio: 'pipe' });
    return '';
  } catch (error) {
    if (error.stdout === undefined) throw error;
    return error.stdout.toString() + error.stderr;
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}
