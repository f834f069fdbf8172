package cos

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"clbwatch/internal/sandbox"
)

// Service is the buckets of one account, as they are reached by their names: at
// https://<bucket>-<appid>.cos.<region>.myqcloud.com or, if that is not the host, by At. A bucket is there
// once it was made, by Add or by a PUT. It is safe for concurrent use. Make one with NewService.
type Service struct {
	// of every bucket, see there; set them before serving
	Now func() time.Time
	May func(secretID, action, resource string) bool

	accepts func(secretID string) (sandbox.Credential, bool)

	mu      sync.Mutex
	buckets map[string]*Bucket // by name, those that are not there too
}

// NewService returns a service without buckets, for the credentials that accepts knows.
func NewService(accepts func(secretID string) (sandbox.Credential, bool)) *Service {
	return &Service{Now: time.Now, accepts: accepts, buckets: make(map[string]*Bucket)}
}

// Bucket returns the bucket of a name, such as ops-1250000000, even one that is not there: its faults,
// requests and refusals are those of that name.
func (s *Service) Bucket(name string) *Bucket {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[name]
	if b == nil {
		b = New(s.accepts)
		b.Now, b.May = s.Now, s.May
		b.name, b.absent = name, true
		s.buckets[name] = b
	}
	return b
}

// Add makes a bucket in a region, private and empty, or returns the one that there is.
func (s *Service) Add(name, region string) *Bucket {
	b := s.Bucket(name)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.absent {
		b.absent, b.region = false, region
	}
	return b
}

// AddForeign makes a bucket of somebody else's, whom no credential here belongs to.
func (s *Service) AddForeign(name, region string) {
	b := s.Add(name, region)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.foreign = true
}

// At returns what answers at the address of one bucket and region, for a client that is told to go elsewhere.
func (s *Service) At(name, region string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Bucket(name).serve(w, r, region)
	})
}

var bucketHost = regexp.MustCompile(`^([^.]+)\.cos\.([a-z0-9-]+)\.(?:myqcloud\.com|tencentcos\.cn)(?::\d+)?$`)

// ServeHTTP answers one request, at the bucket that its host names.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := bucketHost.FindStringSubmatch(strings.ToLower(r.Host))
	if m == nil {
		q := request{resource: r.Host + r.URL.Path}
		refusal{http.StatusBadRequest, "InvalidURI", "the host names no bucket", r.Host}.answer(q).write(w, r)
		return
	}
	s.Bucket(m[1]).serve(w, r, m[2])
}
