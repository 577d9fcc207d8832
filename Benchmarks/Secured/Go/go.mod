module secured

go 1.19
