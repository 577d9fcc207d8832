import ArgumentParser
import Fin

@main struct FinCommand: ParsableCommand {}
