// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
)

// Programs that the test binary is when it is started with the name of one in
// this variable of its environment.
const programVariable = "H2SNIFF_E2E_PROGRAM"

var programs = map[string]func(args []string) error{
	"grpc server": grpcServer,
	"grpc client": grpcClient,

	"bench http server": benchHTTPServer,
	"bench grpc server": benchGRPCServer,
}

// runProgram makes the process that program, if it is to be one, until it ends.
func runProgram() {
	run := programs[os.Getenv(programVariable)]
	if run == nil {
		return
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// program is a command that runs one of programs.
func program(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), programVariable+"="+name)
	return cmd
}
