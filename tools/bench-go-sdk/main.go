// Bench-go-sdk is what people would write with Tencent's official SDK for Go instead of clbwatch: it reads
// every load balancer, several at once, and compares with what it read before, in memory. It is measured by
// cmd/bench, which says what comes on standard input. It is a module of its own so that clbwatch does not
// depend on the SDK's package clb.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"sync"

	clb "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/clb/v20180317"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
)

type job struct {
	Host, Region, SecretID, SecretKey, Token string
	IDs                                      []string
	Workers                                  int
}

// target is what is compared of a backend.
type target struct {
	status, weight int64
	name           string
}

func main() {
	in := bufio.NewReader(os.Stdin)
	var j job
	line, err := in.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &j)
	}
	if err != nil {
		log.Fatal(err)
	}
	p := profile.NewClientProfile()
	p.HttpProfile.Endpoint, p.HttpProfile.Scheme = j.Host, "http"
	client, err := clb.NewClient(common.NewTokenCredential(j.SecretID, j.SecretKey, j.Token), j.Region, p)
	if err != nil {
		log.Fatal(err)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = j.Workers // else most connections are made anew for each call
	client.WithHttpTransport(t)

	var before map[string]map[string]target
	for {
		if _, err := in.ReadBytes('\n'); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		now, err := readAll(client, j)
		if err != nil {
			log.Fatal(err)
		}
		changes := 0
		if before != nil {
			for lb, pool := range now {
				changes += diff(before[lb], pool)
			}
		}
		before = now
		if err := json.NewEncoder(os.Stdout).Encode(map[string]int{"calls": len(j.IDs),
			"changes": changes}); err != nil {
			log.Fatal(err)
		}
	}
}

// readAll reads every load balancer.
func readAll(client *clb.Client, j job) (map[string]map[string]target, error) {
	ids := make(chan string)
	all := make(map[string]map[string]target, len(j.IDs))
	var failed error
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range j.Workers {
		wg.Go(func() {
			for id := range ids {
				pool, err := read(client, id)
				mu.Lock()
				all[id] = pool
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	for _, id := range j.IDs {
		ids <- id
	}
	close(ids)
	wg.Wait()
	return all, failed
}

func read(client *clb.Client, id string) (map[string]target, error) {
	req := clb.NewDescribeClassicalLBTargetsRequest()
	req.LoadBalancerId = &id
	resp, err := client.DescribeClassicalLBTargets(req)
	if err != nil {
		return nil, err
	}
	pool := make(map[string]target, len(resp.Response.Targets))
	for _, t := range resp.Response.Targets {
		pool[*t.InstanceId] = target{*t.RunFlag, *t.Weight, *t.InstanceName}
	}
	return pool, nil
}

// diff counts the backends that came, went or changed.
func diff(before, now map[string]target) (changes int) {
	for id, t := range now {
		if was, ok := before[id]; !ok || was != t {
			changes++
		}
	}
	for id := range before {
		if _, ok := now[id]; !ok {
			changes++
		}
	}
	return changes
}
