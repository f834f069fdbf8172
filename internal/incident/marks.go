package incident

// Marks that a Set of a Post may have.
const (
	MarkDegraded = degradedMark // a load balancer is degraded, or worse
	MarkDown     = downMark     // a load balancer, or a listener or rule of it, is down
	MarkBlind    = blindMark    // something cannot be read
)
