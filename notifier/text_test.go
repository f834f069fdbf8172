package notifier_test

import (
	"fmt"
	"time"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
	"clbwatch/notifier"
)

func ExampleText() {
	at := time.Date(2026, 11, 23, 4, 53, 0, 0, time.UTC)
	fmt.Println(notifier.Text(watch.Alert{ID: "7-k3q9x", From: at, To: at, Pools: []watch.PoolNews{{
		CLB: lb.CLB{Region: "ap-guangzhou", ID: "lb-8a3k2m1q", Label: "R&D <web>"}, Counts: lb.Counts{LeftRunning: 1}, Capacity: lb.Capacity{Running: 11, Total: 12},
		Changes: []lb.Change{{Kind: lb.LeftRunning, At: at, Was: 2,
			Backend: lb.Backend{ID: "ins-a", Name: "web-07", Status: 4, LanIP: "10.0.3.17"}}},
	}}}))
	// Output:
	// web-07 stopped running on R&D <web>: shut down (4), 11 of 12 running
	// ap-guangzhou  ·  2026-11-23 04:53 UTC  ·  alert `7-k3q9x`
	//
	// • R&D <web>  lb-8a3k2m1q  ·  11 of 12 running
	// • web-07  10.0.3.17  left running: shut down (4)
}
