//go:build screenshots

package web_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vnetkit/mgmt/loopback"
)

// TestScreenshots makes pictures for people to look at:
// WEB_SCREENSHOTS=DIR go test -tags screenshots ./mgmt/web -run Screenshots
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("WEB_SCREENSHOTS")
	if dir == "" {
		t.Fatal("set WEB_SCREENSHOTS to a directory")
	}
	l := network(t, true)
	for name, args := range map[string][]string{
		"light":  {"--window-size=1280,1900", "--blink-settings=preferredColorScheme=1"},
		"dark":   {"--window-size=1280,1900", "--blink-settings=preferredColorScheme=0"},
		"phone":  {"--window-size=520,3000", "--blink-settings=preferredColorScheme=1"},
		"narrow": {"--window-size=520,3000", "--blink-settings=preferredColorScheme=0"},
	} {
		chromium(t, l.url, append(args, "--virtual-time-budget=45000", "--screenshot="+filepath.Join(dir, name+".png"))...)
	}
	for _, width := range []int{360, 390} {
		chromium(t, l.framed(width, 3600), "--window-size=520,3600", "--virtual-time-budget=45000", "--screenshot="+filepath.Join(dir, fmt.Sprintf("phone%d.png", width)))
	}
	chromium(t, "http://"+l.addr+"/?token=wrong", "--window-size=900,500", "--virtual-time-budget=3000", "--screenshot="+filepath.Join(dir, "wrong.png"))
	many := start(t, false, loopback.Limits{})
	for i := range 300 {
		if status := many.admin("POST", "/v1/ports", fmt.Sprintf(`{"spec":"stream:unix:%s/p%d,name=a-port-with-a-rather-long-name-%d,vlan=%d"}`, many.Dir, i, i, 1+i%9*100)); status != http.StatusCreated {
			t.Fatal(status)
		}
	}
	chromium(t, many.url, "--window-size=1280,1900", "--virtual-time-budget=5000", "--screenshot="+filepath.Join(dir, "many.png"))
	chromium(t, many.url, "--window-size=520,1900", "--virtual-time-budget=5000", "--screenshot="+filepath.Join(dir, "many-narrow.png"))
	// The browser makes pictures with a script of its own, so scripts cannot be switched off.
	_, page := l.do("GET", "/?token="+l.token, "")
	_, style := l.do("GET", "/style.css", "")
	page = regexp.MustCompile(`<script.*</script>`).ReplaceAllString(page, "")
	page = strings.Replace(page, `<link rel="stylesheet" href="style.css">`, "<style>"+style+"</style>", 1)
	plain := filepath.Join(t.TempDir(), "plain.html")
	if err := os.WriteFile(plain, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	chromium(t, "file://"+plain, "--window-size=1280,1000", "--screenshot="+filepath.Join(dir, "plain.png"))
}
