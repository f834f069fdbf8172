package notifier

import (
	"encoding/json"
	"fmt"
	"testing"

	"clbwatch/internal/lb"
	"clbwatch/internal/watch"
)

// BenchmarkMessage renders an alert as what is posted: of few changes, and of as many as one may name.
func BenchmarkMessage(b *testing.B) {
	for _, n := range []int{1, 6, 600} {
		b.Run(fmt.Sprint("changes=", n), func(b *testing.B) {
			var changes []lb.Change
			for i := range n {
				changes = append(changes, left(fmt.Sprint("web-", i), fmt.Sprintf("10.0.%d.%d", i/256, i%256), 4))
			}
			a := watch.Alert{ID: "1", From: at(4, 53), To: at(4, 53), Pools: []watch.PoolNews{news(web, 10, 10+n, changes...)}}
			b.ReportAllocs()
			for b.Loop() {
				body, err := json.Marshal(AlertMessage(a, Style{}).webhook())
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(body)))
			}
		})
	}
}
