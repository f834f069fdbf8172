// From the documentation of API CAM 2019-01-16.
export interface CreateRoleRequest {
  RoleName: string;
  PolicyDocument: string;
  Description?: string;
  ConsoleLogin?: number;
  SessionDuration?: number;
}
export interface CreatePolicyRequest {
  PolicyName: string;
  PolicyDocument: string;
  Description?: string;
}
export interface UpdatePolicyRequest {
  PolicyId?: number;
  PolicyName?: string;
  PolicyDocument?: string;
  Description?: string;
}
export interface AttachRolePolicyRequest {
  PolicyId?: number;
  PolicyName?: string;
  AttachRoleId?: string;
  AttachRoleName?: string;
}
export interface DeleteRoleRequest {
  RoleId?: string;
  RoleName?: string;
}
export interface ListAttachedRolePoliciesRequest {
  Page: number;
  Rp: number;
  RoleId?: string;
  RoleName?: string;
  PolicyType?: string;
  Keyword?: string;
}
