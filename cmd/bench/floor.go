package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// floorCommand makes this program the floor, in a process of its own.
const floorCommand = "floor"

// floorJob is what the floor fetches in each round: the very requests that the function sent, so it signs
// nothing, and what signing costs counts against the function.
type floorJob struct {
	URL      string      `json:"url"`
	Requests []*exchange `json:"requests"`
	Workers  int         `json:"workers"`
	// spreads the requests of a round over it; 0 for as fast as can be
	RoundTime time.Duration `json:"roundTime"`
}

// runFloor does the least that anybody must do who looks at the same bytes: fetch them with net/http and hash
// them.
func runFloor(ctx context.Context) error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var job floorJob
	if err := json.Unmarshal(line, &job); err != nil {
		return err
	}
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	t.MaxIdleConnsPerHost = job.Workers
	client := &http.Client{Transport: t}
	for {
		if _, err := in.ReadBytes('\n'); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		d, err := job.round(ctx, client)
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(d); err != nil {
			return err
		}
	}
}

// round fetches everything once.
func (j *floorJob) round(ctx context.Context, client *http.Client) (done, error) {
	var next, read atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, j.Workers)
	tick := func() {}
	if j.RoundTime > 0 {
		t := time.NewTicker(j.RoundTime / time.Duration(len(j.Requests)))
		defer t.Stop()
		tick = func() { <-t.C }
	}
	for worker := range j.Workers {
		wg.Go(func() {
			buf := make([]byte, 32<<10)
			for errs[worker] == nil {
				k := int(next.Add(1)) - 1
				if k >= len(j.Requests) {
					return
				}
				tick()
				n, err := fetch(ctx, client, j.URL, j.Requests[k], buf)
				read.Add(n)
				errs[worker] = err
			}
		})
	}
	wg.Wait()
	return done{Calls: len(j.Requests), Bytes: int(read.Load())}, errors.Join(errs...)
}

// fetch sends a request and hashes the answer, of which it returns the length.
func fetch(ctx context.Context, client *http.Client, url string, x *exchange, buf []byte) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+x.Path, bytes.NewReader(x.Body))
	if err != nil {
		return 0, err
	}
	req.Header = x.Header
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the floor was answered %d", resp.StatusCode)
	}
	hash := sha256.New() // it has no ReadFrom, so that buf is what is read into
	n, err := io.CopyBuffer(hash, resp.Body, buf)
	hash.Sum(nil)
	return n, err
}
