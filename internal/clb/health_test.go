package clb

import (
	"testing"

	"clbwatch/internal/sandbox/cloud"
)

// A pod on a network interface is another backend than the node that it is on.
func TestHealthIsOfTheBackendAtTheAddress(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	w.SetApplication(app.Region, app.ID)
	w.Listen(app.Region, app.ID, cloud.Listener{Protocol: "TCP", Port: 80},
		cloud.Listener{Protocol: "TCP", Port: 81})
	w.BindTo(app.Region, app.ID, "TCP:80", cloud.Instance{ID: "ins-node", LanIP: "10.0.0.1", Status: 2,
		Weight: 10})
	w.BindTo(app.Region, app.ID, "TCP:81", cloud.Instance{ID: "eni-pod", Type: "ENI", LanIP: "10.1.0.1",
		Weight: 10})
	w.SetHealth(app.Region, app.ID, "eni-pod", "", "Dead")
	ofNode := cloud.In(cloud.Set("TargetId", "ins-node"), "LoadBalancers", "*", "Listeners", "*", "Rules", "*",
		"Targets", "*")
	w.FailV3On(cloud.DescribeTargetHealth, cloud.V3Odd("nodes' ids", ofNode), -1)
	c := w.client(V3)
	c.Health = true
	r, err := c.Read(t.Context(), app, "")
	if err != nil || r.Backends[0].ID != "eni-pod:10.1.0.1" || len(r.Backends[0].Failing) != 1 ||
		len(r.Backends[1].Failing) != 0 || r.Backends[1].Checked != 1 {
		t.Errorf("Read = %+v, %v, want the pod failing and not its node", r.Backends, err)
	}
}
