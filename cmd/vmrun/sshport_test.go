package main

import (
	"fmt"
	"net"
	"strconv"
	"testing"

	"vnetkit/cmd/vmrun/netdev"
)

// The ports that vmctl gave these names, from its own hash function.
func TestSSHPort(t *testing.T) {
	for name, want := range map[string]int{
		"web": 10095, "db": 10111, "test": 10090, "alpha": 10112, "beta": 10034, "omnios-builder": 10041, "full-example": 10108,
		"tap-example": 10120, "minimal": 10101, "myvm": 10046, "vm1": 10063, "vm2": 10065, "a": 10065, "": 10041,
	} {
		if got := sshPort(name); got != want {
			t.Errorf("%q has %d, want %d", name, got, want)
		}
	}
	for name, want := range map[string]string{"web": "2d558cdc9cacb3dd", "vm1": "a185e9e453b4d5a5"} {
		if got := fmt.Sprintf("%x", sipHash13(append([]byte(name), 0xff))); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

// The second of two names with one port gets the next, round the end, and when
// all are taken any.
func TestFreeSSHPort(t *testing.T) {
	taken := map[int]bool{10120: true, 10121: true}
	free := func(p int) bool { return !taken[p] }
	if p, err := freeSSHPort("tap-example", free); p != 10022 || err != nil {
		t.Errorf("%d, %v", p, err)
	}
	if p, err := freeSSHPort("web", func(int) bool { return false }); p == 0 || p >= firstSSHPort && p < firstSSHPort+sshPorts || err != nil {
		t.Errorf("%d, %v", p, err)
	}
	for text, want := range map[string]string{
		"user":                                "[tcp:127.0.0.1:10095-:22]",
		"user,ssh=off":                        "[]",
		"user,ssh=2222":                       "[tcp:127.0.0.1:2222-:22]",
		"user,ssh=10120":                      "error",
		"user,ssh=web":                        "error",
		"user,hostfwd=tcp:127.0.0.1:8080-:80": "[tcp:127.0.0.1:8080-:80 tcp:127.0.0.1:10095-:22]",
	} {
		n, err := netdev.ParseNet(text)
		if err != nil {
			t.Fatal(err)
		}
		n, _, err = withSSH(n, "web", free)
		got := fmt.Sprint(n.All("hostfwd"))
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// A port that is chosen is kept from others who choose, and not from who listens.
func TestKeepPort(t *testing.T) {
	var mine, other chosenPorts
	port, err := freeSSHPort("web", mine.take)
	if err != nil {
		t.Fatal(err)
	}
	defer mine.release()
	if other.take(port) {
		other.release()
		t.Errorf("two have port %d", port)
	}
	for _, host := range []string{"127.0.0.1", ""} {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			t.Fatalf("what it is kept for: %v", err)
		}
		_ = ln.Close()
	}
	mine.release()
	if !other.take(port) {
		t.Errorf("port %d was released, and cannot be had", port)
	}
	other.release()
}
