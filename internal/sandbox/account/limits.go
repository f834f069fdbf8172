package account

// unreserved is how much of the quota no reservation may take, in MB: "函数的最大独占配额内存总和上限：
// 用户总并发内存配额 - 12800".
const unreserved = 12_800

// Bounds and defaults of asynchronous invocations. The defaults are documented (583/41138); the bounds are
// not, and are assumptions: the API has codes for what is over them.
const (
	defaultRetries = 2
	defaultTTL     = 21_600 // seconds
	maxRetries     = 2
	minTTL, maxTTL = 60, 21_600
)

// notActive is for limits of a function that is being changed.
const notActive = "FailedOperation.FunctionVersionStatusNotActive"

// whichFunction is all the parameters of what reads or ends a limit.
type whichFunction struct {
	FunctionName string `api:"required"`
	Namespace    *string
}

// reserve sets how much memory all instances of a function may have, and keeps it for them. 0 turns the
// function off. Less than one instance takes is allowed here; whether in the cloud is not documented.
func (a *Account) reserve(q *request, p struct {
	FunctionName           string `api:"required"`
	ReservedConcurrencyMem int64  `api:"required"`
	Namespace              *string
}) (map[string]any, error) {
	f, err := a.ready(q, p.FunctionName, p.Namespace, notActive)
	if err != nil {
		return nil, err
	}
	if p.ReservedConcurrencyMem < 0 {
		return nil, refusal("InvalidParameterValue", "ReservedConcurrencyMem %d", p.ReservedConcurrencyMem)
	}
	sum := p.ReservedConcurrencyMem
	for _, other := range a.inRegion(q.region) {
		if other != f && other.reserved != nil {
			sum += *other.reserved
		}
	}
	if most := a.Quota - unreserved; sum > most {
		return nil, refusal("LimitExceeded.FunctionReservedConcurrencyMemory", "%d MB of at most %d", sum,
			most)
	}
	f.reserved = &p.ReservedConcurrencyMem
	return nil, nil
}

func (a *Account) getReservation(q *request, p whichFunction) (map[string]any, error) {
	f, err := a.find(q, p.FunctionName, p.Namespace)
	if err != nil {
		return nil, err
	}
	return map[string]any{"ReservedMem": f.reserved}, nil // null if there is none
}

// deleteReservation ends one. That it is no error if there is none is an assumption.
func (a *Account) deleteReservation(q *request, p whichFunction) (map[string]any, error) {
	f, err := a.find(q, p.FunctionName, p.Namespace)
	if err != nil {
		return nil, err
	}
	f.reserved = nil
	return nil, nil
}

func (a *Account) updateEventInvoke(q *request, p struct {
	FunctionName       string `api:"required"`
	Namespace          *string
	AsyncTriggerConfig struct {
		RetryConfig []struct {
			RetryNum int64 `api:"required"`
		} `api:"required"`
		MsgTTL int64 `api:"required"`
	} `api:"required"`
}) (map[string]any, error) {
	f, err := a.ready(q, p.FunctionName, p.Namespace, notActive)
	c := p.AsyncTriggerConfig
	switch {
	case err != nil:
		return nil, err
	case len(c.RetryConfig) != 1:
		return nil, refusal("InvalidParameterValue.AsyncTriggerConfig", "%d RetryConfig", len(c.RetryConfig))
	case c.RetryConfig[0].RetryNum < 0 || c.RetryConfig[0].RetryNum > maxRetries:
		return nil, refusal("LimitExceeded.RetryNum", "RetryNum %d", c.RetryConfig[0].RetryNum)
	case c.MsgTTL < minTTL || c.MsgTTL > maxTTL:
		return nil, refusal("LimitExceeded.MsgTTL", "MsgTTL %d", c.MsgTTL)
	}
	f.retries, f.ttl = c.RetryConfig[0].RetryNum, c.MsgTTL
	return nil, nil
}

func (a *Account) getEventInvoke(q *request, p struct {
	FunctionName         string `api:"required"`
	Namespace, Qualifier *string
}) (map[string]any, error) {
	f, err := a.find(q, p.FunctionName, p.Namespace)
	if err != nil {
		return nil, err
	}
	if err := checkQualifier(p.Qualifier, "ResourceNotFound.Version"); err != nil {
		return nil, err
	}
	return map[string]any{"AsyncTriggerConfig": map[string]any{
		"RetryConfig": []map[string]any{{"RetryNum": f.retries}}, "MsgTTL": f.ttl}}, nil
}
