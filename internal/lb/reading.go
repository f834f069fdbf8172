package lb

import "errors"

// ErrNotFound means that the cloud says that there is no such load balancer.
var ErrNotFound = errors.New("there is no such load balancer")

// Digest stands for the exact bytes of a verified answer. Its form is the Source's own; "" matches nothing.
type Digest string

// Reading is a whole and verified answer about one load balancer.
type Reading struct {
	Kind      Type      // what the load balancer is
	Backends  []Backend // by ID, without Out and Ill; nil if Unchanged. Empty is an answer too: no backend is bound
	Digest    Digest    // of this answer
	Unchanged bool      // the same bytes as the known digest
	Remember  bool      // the Source learned something that the digest carries: it is to be stored with this tick
	Health    bool      // the backends' health was read too
	HealthErr error     // why it was not, where it should have been: then it is as it was
}
