package lb

import "errors"

// ErrNotFound means that the cloud says that there is no such load balancer.
var ErrNotFound = errors.New("there is no such load balancer")

// Digest stands for the exact bytes of a verified answer. Its form is the Source's own; "" matches nothing.
type Digest string

// Reading is a whole and verified answer about one load balancer.
type Reading struct {
	Kind Type   // what the load balancer is
	By   string // the version of the API that it was read by, "2.0" or "3.0"
	// by ID, without Out and Ill; nil if Unchanged. Empty is an answer too: no backend is bound
	Backends  []Backend
	Digest    Digest // of this answer
	Unchanged bool   // the same bytes as the known digest
	// the Source learned something that the digest carries: it is to be stored with this tick
	Remember  bool
	Health    bool  // the backends' health was read too
	HealthErr error // why it was not, where it should have been: then it is as it was

	// Odd says what is odd about rows of the answer, such as "ins-2 has no RunFlag": the first few, and none
	// if Unchanged. The backends of such rows are as they were; their statuses are Unknown here and their
	// weights UnknownWeight.
	Odd []string
	// Unnamed is how many rows do not tell which backend, listener or rule they are about. As long as there
	// are some, nothing that the reading lacks is known to be missing.
	Unnamed int
	// Functions is how many cloud functions are bound, which are not watched; -1 if the API does not tell.
	Functions int
}
