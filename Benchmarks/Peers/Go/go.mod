module fin.benchmarks/go

go 1.19
