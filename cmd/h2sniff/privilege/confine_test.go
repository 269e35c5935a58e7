// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// confinedDir tells the test binary to be the process that TestConfine looks
// at: it takes from itself what a viewer takes, and says what is left.
const confinedDir = "H2SNIFF_TEST_CONFINED"

func TestMain(m *testing.M) {
	if os.Getenv(startedPowerless) != "" {
		sayPowers()
		return
	}
	if dir := os.Getenv(confinedDir); dir != "" {
		sayWhatIsLeft(dir, os.Getenv(confinedDir+"_ADDRESS"))
		return
	}
	os.Exit(m.Run())
}

func sayWhatIsLeft(dir, address string) {
	if err := Confine([]string{filepath.Join(dir, "writable")}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_, errRead := os.ReadFile(filepath.Join(dir, "secret"))
	errWrite := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600)
	errAllowed := os.WriteFile(filepath.Join(dir, "writable", "new"), nil, 0o600)
	_, errSystem := os.ReadFile("/etc/passwd")
	_, errComm := os.ReadFile(fmt.Sprintf("/proc/%d/comm", os.Getppid()))
	_, errDial := net.Dial("tcp", address)
	var tcp net.ListenConfig
	tcp.SetMultipathTCP(false) // which landlock does not know
	_, errListen := tcp.Listen(context.Background(), "tcp", "127.0.0.1:0")
	for _, err := range []error{errRead, errWrite, errAllowed, errSystem, errComm, errDial, errListen} {
		fmt.Println(errors.Is(err, os.ErrPermission), err == nil)
	}
}

func TestConfine(t *testing.T) {
	if v := LandlockVersion(); v < LandlockTCP {
		t.Skipf("landlock of this kernel (version %d) does not know sockets: Linux 6.7 does", v)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "writable"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), confinedDir+"="+dir, confinedDir+"_ADDRESS="+l.Addr().String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Denied, and done: read, write, write below writable, read of the system's
	// and of a process, connect, listen.
	want := strings.Join([]string{"true false", "true false", "false true", "false true", "false true", "true false", "true false"}, "\n")
	if got := strings.TrimSpace(string(out)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
