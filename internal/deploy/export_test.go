package deploy

import "context"

// Call makes one call, as somebody else might.
func (a *API) Call(ctx context.Context, service, action string, params map[string]any) error {
	version := map[string]string{"cam": camVersion, "scf": scfVersion, "sts": stsVersion}[service]
	return a.do(ctx, call{service, version, action, params}, nil)
}
