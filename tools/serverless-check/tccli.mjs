// A tccli that calls nobody. It knows its actions, keeps what they do in the file STATE, and writes each call there.
// What it refuses, the real one refuses too: an action it does not know, and a request that is not in a file.
import fs from 'node:fs';

const file = process.env.STATE;
const state = JSON.parse(fs.readFileSync(file, 'utf8'));
const [service, action, ...options] = process.argv.slice(2);
const option = name => options[options.indexOf(name) + 1];
const request = JSON.parse(fs.readFileSync(option('--cli-input-json').replace(/^file:\/\//, ''), 'utf8'));
state.calls.push({ service, Action: action, region: option('--region'), arguments: process.argv.slice(2), request });

const refuse = code => { throw new Error(`[TencentCloudSDKException] code:${code} message:refused requestId:1`); };
const change = () => {
  if (!state.function) refuse('ResourceNotFound.Function');
  if (state.busy) refuse('ResourceInUse.Function');
  state.busy = 2; // questions
};
// withURL is a trigger as the platform lists it: one of the type http has a URL, if it is open to the outside.
function withURL(trigger) {
  if (trigger.Type !== 'http') return trigger;
  const desc = JSON.parse(trigger.TriggerDesc);
  if (desc.NetConfig.EnableExtranet) desc.NetConfig.ExtranetUrl = 'https://1250000000-abc123.ap-guangzhou.tencentscf.com';
  return { ...trigger, TriggerDesc: JSON.stringify(desc) };
}
const actions = {
  'scf GetFunction': () => {
    if (!state.function) refuse('ResourceNotFound.Function');
    const Status = state.busy ? 'Updating' : 'Active';
    state.busy = Math.max(0, (state.busy ?? 0) - 1);
    return { ...state.function, Status };
  },
  'scf CreateFunction': ({ Code, ...rest }) => {
    if (state.function) refuse('ResourceInUse.Function');
    state.function = { ...rest, zip: Code.ZipFile };
    change();
  },
  'scf UpdateFunctionCode': ({ ZipFile }) => { change(); state.function.zip = ZipFile; },
  'scf UpdateFunctionConfiguration': rest => { change(); Object.assign(state.function, rest); },
  'scf ListTriggers': () => ({ Triggers: Object.values(state.triggers).map(withURL) }),
  'scf CreateTrigger': t => {
    if (state.triggers[t.TriggerName]) refuse('ResourceInUse.Trigger');
    state.triggers[t.TriggerName] = t;
  },
  'scf UpdateTrigger': t => {
    if (!state.triggers[t.TriggerName]) refuse('ResourceNotFound.Trigger');
    state.triggers[t.TriggerName] = t;
  },
  'scf UpdateFunctionEventInvokeConfig': ({ AsyncTriggerConfig }) => { state.async = AsyncTriggerConfig; },
  'scf GetFunctionEventInvokeConfig': () => ({ AsyncTriggerConfig: { ...state.async, ...state.keeps } }),
  'scf PutReservedConcurrencyConfig': ({ ReservedConcurrencyMem }) => { state.reserved = ReservedConcurrencyMem; },
  'scf GetReservedConcurrencyConfig': () => ({ ReservedMem: state.reserved }),
  'cam CreateRole': ({ RoleName, ...rest }) => {
    if (state.roles[RoleName]) refuse('InvalidParameter.RoleNameInUse');
    state.roles[RoleName] = { ...rest, attached: [] };
  },
  'cam CreatePolicy': ({ PolicyName, PolicyDocument }) => {
    if (state.policies[PolicyName]) refuse('FailedOperation.PolicyNameInUse');
    state.policies[PolicyName] = PolicyDocument;
  },
  'cam UpdatePolicy': ({ PolicyName, PolicyDocument }) => { state.policies[PolicyName] = PolicyDocument; },
  'cam AttachRolePolicy': ({ AttachRoleName, PolicyName }) => { state.roles[AttachRoleName].attached.push(PolicyName); },
  'cam ListAttachedRolePolicies': ({ RoleName }) => ({ List: state.roles[RoleName].attached.map(PolicyName => ({ PolicyName })) }),
};

try {
  if (state.fail?.[action]) refuse(state.fail[action]);
  const answer = actions[`${service} ${action}`](request);
  console.log(JSON.stringify({ ...answer, RequestId: '1' }));
} catch (error) {
  // Old versions of tccli print an error like an answer, and exit with 0.
  if (state.old) console.log(`tccli: ${error.message}`);
  else {
    console.error(error.message);
    process.exitCode = 255;
  }
} finally {
  fs.writeFileSync(file, JSON.stringify(state));
}
